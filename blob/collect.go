// SPDX-License-Identifier: Apache-2.0

package blob

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"time"

	"lastro"
)

// Collection is what Collect found and did; with a dry run, what it would do.
type Collection struct {
	Objects    int   `json:"objects"` // all that were there
	Bytes      int64 `json:"bytes"`
	Removed    int   `json:"removed"`
	Freed      int64 `json:"freed"`     // bytes of removed objects
	Leftovers  int64 `json:"leftovers"` // bytes of what killed calls left behind
	Recent     int   `json:"recent"`    // needed by nothing, but used too recently to be removed
	RecentSize int64 `json:"recent_bytes"`
}

// Collect removes every object that no root reaches and nobody has used since
// before. It may run beside calls that store, find and read:
//
//   - What they store or find is marked as used, so it is younger than before.
//     Finding a tree marks its manifest only, so a young manifest is a root.
//   - Manifests go before what they list. When a manifest cannot be removed
//     because it was found meanwhile, its files stay. After the last manifest
//     is gone, a file can only come into use by being found itself.
//
// A crash at any point leaves a store in which all that is reached is there.
// The roots must be read after this call began, hence the function.
func Collect(ctx context.Context, k Keeper, roots func(func(Root) error) error, before time.Time, dryRun bool) (Collection, error) {
	c := &collector{k: k, before: before, dryRun: dryRun, reached: map[sum]struct{}{}}
	err := c.collect(ctx, roots)
	return c.Collection, err
}

// sum is a digest in little memory: there may be millions.
type sum [32]byte

func sumOf(d lastro.Digest) (s sum) {
	_, _ = hex.Decode(s[:], []byte(d.Hex()))
	return s
}

func (s sum) digest() lastro.Digest { return lastro.Digest("sha256:" + hex.EncodeToString(s[:])) }

type collector struct {
	Collection
	k       Keeper
	before  time.Time
	dryRun  bool
	reached map[sum]struct{}
	trees   []candidate // old, not reached
	files   []candidate
}

type candidate struct {
	sum  sum
	size int64
}

func (c *collector) collect(ctx context.Context, roots func(func(Root) error) error) (err error) {
	if c.Leftovers, err = c.k.Leftovers(ctx, c.before, c.dryRun); err != nil {
		return err
	}
	if err := roots(func(r Root) error { return c.reach(ctx, r.Digest) }); err != nil {
		return err
	}
	if err := c.list(ctx); err != nil {
		return err
	}
	for _, all := range []*[]candidate{&c.trees, &c.files} {
		for _, o := range *all {
			if err := c.remove(ctx, o); err != nil {
				return err
			}
		}
	}
	return nil
}

// reach marks an object and, when it is a tree, what it lists.
func (c *collector) reach(ctx context.Context, d lastro.Digest) error {
	if _, err := lastro.ParseDigest(string(d)); err != nil {
		return err
	}
	if _, known := c.reached[sumOf(d)]; known {
		return nil
	}
	r, tree, err := openTree(ctx, c.k, d)
	if lastro.Is(err, lastro.ENotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer r.Close()
	c.reached[sumOf(d)] = struct{}{}
	if !tree {
		return nil
	}
	err = EachEntry(r, func(e Entry) error {
		if !e.Dir {
			c.reached[sumOf(e.Digest)] = struct{}{}
		}
		return nil
	})
	if lastro.Is(err, lastro.ETampered) {
		return &lastro.Error{Code: lastro.ETampered, ID: "L0431", Msg: "a folder that is needed is damaged, so nobody can say which files it needs: nothing was removed",
			Hint: "lastro fsck names it and what needs it", Err: err}
	}
	return err
}

// openTree opens an object and says whether it is a manifest.
func openTree(ctx context.Context, k Keeper, d lastro.Digest) (io.ReadCloser, bool, error) {
	r, err := k.Open(ctx, d)
	if err != nil {
		return nil, false, err
	}
	head := make([]byte, len(TreeMagic))
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !lastro.Is(err, lastro.ETampered) {
		r.Close()
		return nil, false, err
	}
	r.Close()
	if r, err = k.Open(ctx, d); err != nil {
		return nil, false, err
	}
	return r, IsTree(head[:n]), nil
}

// list finds candidates; young manifests are roots.
func (c *collector) list(ctx context.Context) error {
	var young []sum
	var old []candidate
	err := c.k.Each(ctx, func(o Object) error {
		c.Objects++
		c.Bytes += o.Size
		s := sumOf(o.Digest)
		if _, kept := c.reached[s]; kept {
			return nil
		}
		if o.Used.Before(c.before) {
			old = append(old, candidate{s, o.Size})
			return nil
		}
		young = append(young, s)
		c.Recent++
		c.RecentSize += o.Size
		return nil
	})
	if err != nil {
		return err
	}
	for _, s := range young {
		if err := c.reach(ctx, s.digest()); err != nil {
			return err
		}
	}
	for _, o := range old {
		if _, kept := c.reached[o.sum]; kept {
			continue
		}
		r, tree, err := openTree(ctx, c.k, o.sum.digest())
		if lastro.Is(err, lastro.ENotFound) {
			continue
		}
		if err != nil {
			return err
		}
		r.Close()
		if tree {
			c.trees = append(c.trees, o)
		} else {
			c.files = append(c.files, o)
		}
	}
	return nil
}

func (c *collector) remove(ctx context.Context, o candidate) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, kept := c.reached[o.sum]; kept {
		return nil
	}
	if !c.dryRun {
		removed, err := c.k.Remove(ctx, o.sum.digest(), c.before)
		if err != nil {
			return err
		}
		if !removed {
			return c.reach(ctx, o.sum.digest()) // used meanwhile, or gone
		}
	}
	c.Removed++
	c.Freed += o.size
	return nil
}
