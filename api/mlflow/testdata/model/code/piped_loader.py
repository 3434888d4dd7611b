# SPDX-License-Identifier: Apache-2.0
"""A model without any library: it answers the number of rows."""


class Model:
    def predict(self, data):
        return [len(data)] * len(data)


def _load_pyfunc(path):
    return Model()
