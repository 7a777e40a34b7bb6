// Package recent keeps what was used last, and no more than so much of it: what
// many audits of a batch have in common is always among that.
package recent

import "container/list"

// Cache keeps the values that were used last, by key. It is not safe for
// concurrent use: whoever shares one has a lock for more than the Cache.
type Cache[K, V comparable] struct {
	most  int
	by    map[K]*list.Element
	order *list.List // of entry[K, V], the last used in front
}

type entry[K, V comparable] struct {
	key   K
	value V
}

// New makes a Cache for so many values, which is at least one.
func New[K, V comparable](most int) *Cache[K, V] {
	return &Cache[K, V]{most: max(1, most), by: map[K]*list.Element{}, order: list.New()}
}

// Get finds a value, which is then the last that was used.
func (c *Cache[K, V]) Get(key K) (value V, ok bool) {
	e := c.by[key]
	if e == nil {
		return value, false
	}
	c.order.MoveToFront(e)
	return e.Value.(entry[K, V]).value, true
}

// Put keeps a value in place of the one that the key had. The value that was
// used the longest ago is forgotten where there are too many.
func (c *Cache[K, V]) Put(key K, value V) {
	e := c.by[key]
	if e != nil {
		c.order.Remove(e)
	}
	c.by[key] = c.order.PushFront(entry[K, V]{key, value})
	if c.order.Len() > c.most {
		oldest := c.order.Remove(c.order.Back()).(entry[K, V])
		delete(c.by, oldest.key)
	}
}

// Drop forgets a value, unless the key has another one by now.
func (c *Cache[K, V]) Drop(key K, value V) {
	e := c.by[key]
	if e != nil && e.Value.(entry[K, V]).value == value {
		c.order.Remove(e)
		delete(c.by, key)
	}
}

// Len is how many values are kept.
func (c *Cache[K, V]) Len() int { return c.order.Len() }
