// SPDX-License-Identifier: Apache-2.0

package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"

	"lastro"
)

// Problem is content that is not as it was stored.
type Problem struct {
	Digest  lastro.Digest `json:"digest"`
	Missing bool          `json:"missing,omitempty"` // otherwise damaged
	Why     string        `json:"why"`
	Needed  []string      `json:"needed,omitempty"` // what needs it, such as "run:12" or "model:churn@3 (data/model.pkl)"
	More    int           `json:"more,omitempty"`   // further ones that need it
	Moved   string        `json:"moved,omitempty"`  // where Check put it
}

// neededMax is how many of those who need a content are named.
const neededMax = 20

// Checked is what Check found.
type Checked struct {
	Objects  int       `json:"objects"`
	Bytes    int64     `json:"bytes"`
	Problems []Problem `json:"problems"`
}

// Check reads every object again, several at a time, and compares it with its
// digest; then it follows the sure roots and looks for what is missing. With
// repair it takes what is damaged out of the store, so that it is made again
// instead of being found. progress may be nil.
func Check(ctx context.Context, k Keeper, roots func(func(Root) error) error, repair bool, progress func(objects int, bytes int64)) (Checked, error) {
	c := &checker{k: k, there: map[sum]bool{}, problems: map[sum]*Problem{}, progress: progress}
	if err := c.read(ctx); err != nil {
		return c.Checked, err
	}
	if err := roots(func(r Root) error {
		if !r.Sure {
			return nil
		}
		return c.follow(ctx, r)
	}); err != nil {
		return c.Checked, err
	}
	c.Problems = []Problem{}
	for s, p := range c.problems {
		if repair && !p.Missing {
			moved, err := k.Aside(ctx, s.digest())
			if err != nil {
				return c.Checked, err
			}
			p.Moved = moved
		}
		c.Problems = append(c.Problems, *p)
	}
	slices.SortFunc(c.Problems, func(a, b Problem) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
	return c.Checked, nil
}

type checker struct {
	Checked
	k        Keeper
	progress func(int, int64)

	mu       sync.Mutex
	there    map[sum]bool // false: damaged
	problems map[sum]*Problem
}

// read compares all objects with their digests.
func (c *checker) read(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan Object, 64)
	var wg sync.WaitGroup
	for range 2 * runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for o := range work {
				if err := c.readOne(ctx, o); err != nil {
					cancel(err)
				}
			}
		})
	}
	err := c.k.Each(ctx, func(o Object) error {
		select {
		case work <- o:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	close(work)
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (c *checker) readOne(ctx context.Context, o Object) error {
	var n int64
	r, err := c.k.Open(ctx, o.Digest)
	if err == nil {
		n, err = io.Copy(io.Discard, untilDone{ctx, r})
		r.Close()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if lastro.Is(err, lastro.ENotFound) {
		return nil // removed since it was listed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := sumOf(o.Digest)
	c.there[s] = err == nil
	if err != nil {
		c.problems[s] = &Problem{Digest: o.Digest, Why: cause(err)}
	}
	c.Objects++
	c.Bytes += n
	if c.progress != nil {
		c.progress(c.Objects, c.Bytes)
	}
	return nil
}

// cause says what a reader met, without the digest that is printed anyway.
func cause(err error) string {
	var e *lastro.Error
	if errors.As(err, &e) && e.Code == lastro.ETampered {
		return "its bytes have changed"
	}
	return "it cannot be read: " + err.Error()
}

// untilDone ends a long read when ctx ends.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(p)
}

// follow looks whether all that a root needs is there and sound.
func (c *checker) follow(ctx context.Context, r Root) error {
	ok, err := c.look(ctx, r.Digest, string(r.By))
	if err != nil || !ok {
		return err
	}
	content, tree, err := openTree(ctx, c.k, r.Digest)
	if err != nil {
		return err
	}
	defer content.Close()
	if !tree {
		return nil
	}
	return EachEntry(content, func(e Entry) error {
		if e.Dir {
			return nil
		}
		_, err := c.look(ctx, e.Digest, fmt.Sprintf("%s (%s)", r.By, e.Path))
		return err
	})
}

// look notes that somebody needs d when it is missing or damaged.
func (c *checker) look(ctx context.Context, d lastro.Digest, by string) (ok bool, err error) {
	s := sumOf(d)
	if sound, listed := c.there[s]; listed && sound {
		return true, nil
	}
	p := c.problems[s]
	if p == nil {
		// Stored since the objects were listed?
		if ok, err := c.k.Has(ctx, d); ok || err != nil {
			return ok, err
		}
		p = &Problem{Digest: d, Missing: true, Why: "it is not in the store"}
		c.problems[s] = p
	}
	switch {
	case slices.Contains(p.Needed, by):
	case len(p.Needed) < neededMax:
		p.Needed = append(p.Needed, by)
	default:
		p.More++
	}
	return false, nil
}
