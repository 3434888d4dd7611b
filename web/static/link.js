// SPDX-License-Identifier: Apache-2.0
// MLflow's clients print links such as /#/experiments/1/runs/ab12: what follows the # is an address here.
if (/^#\/(experiments\/[0-9]+(\/runs\/[0-9a-f]{32})?|models\/[^/]+\/versions\/[0-9]+)$/.test(location.hash)) {
  location.replace(location.hash.slice(1).replace(/^(\/models\/[^/]+)\/versions/, "$1"));
}
