package recent

import (
	"slices"
	"testing"
)

// keys are those of a Cache, the last used in front, as both its halves have
// them.
func keys(t *testing.T, c *Cache[string, int]) []string {
	t.Helper()
	var out []string
	for e := c.order.Front(); e != nil; e = e.Next() {
		k := e.Value.(entry[string, int]).key
		out = append(out, k)
		if c.by[k] != e {
			t.Errorf("%s is in the list, and not by its key", k)
		}
	}
	if len(c.by) != len(out) || c.Len() != len(out) {
		t.Errorf("%d by key, %d in the list, Len is %d", len(c.by), len(out), c.Len())
	}
	return out
}

func TestCache(t *testing.T) {
	c := New[string, int](3)
	is := func(want ...string) {
		t.Helper()
		got := keys(t, c)
		if !slices.Equal(got, want) {
			t.Errorf("%v are kept, want %v", got, want)
		}
	}
	_, ok := c.Get("a")
	if ok {
		t.Error("an empty one has something")
	}
	c.Put("a", 1)
	c.Put("b", 2)
	c.Put("c", 3)
	is("c", "b", "a")
	v, ok := c.Get("a")
	if v != 1 || !ok {
		t.Errorf("a is %d, %t", v, ok)
	}
	is("a", "c", "b")
	c.Put("d", 4) // b was used the longest ago
	is("d", "a", "c")
	c.Put("c", 5)
	is("c", "d", "a")
	v, _ = c.Get("c")
	if v != 5 {
		t.Errorf("c is %d", v)
	}
	c.Drop("c", 3) // another one has its place
	is("c", "d", "a")
	c.Drop("c", 5)
	c.Drop("c", 5)
	c.Drop("never", 1)
	is("d", "a")
	_, ok = c.Get("c")
	if ok {
		t.Error("what was dropped is there")
	}
	small := New[string, int](0)
	small.Put("a", 1)
	small.Put("b", 2)
	if got := keys(t, small); !slices.Equal(got, []string{"b"}) {
		t.Errorf("the smallest keeps %v", got)
	}
}
