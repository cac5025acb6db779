package main

import "container/list"

// keptLimit bounds what a worker keeps for renders to come, in bytes of memory, roughly.
const keptLimit = 80 << 20

// memory is what is kept.
var memory = newShelf(keptLimit)

// shelf holds what was made of texts. Its keys are all that a thing was made of, or are checked against it: so whoever finds
// something would have made the same, and no render can tell whose texts were there before. What is found is read and never
// changed. What was asked for least lately makes room.
type shelf struct {
	limit, size int
	places      map[any]*list.Element
	// order has what was asked for last in front.
	order *list.List
}

type book struct {
	key, value any
	cost       int
}

func newShelf(limit int) *shelf {
	return &shelf{limit: limit, places: map[any]*list.Element{}, order: list.New()}
}

func (s *shelf) get(key any) (any, bool) {
	place, ok := s.places[key]
	if !ok {
		return nil, false
	}
	s.order.MoveToFront(place)
	return place.Value.(*book).value, true
}

// put keeps a value of so many bytes. What is too large for the shelf isn't kept.
func (s *shelf) put(key, value any, cost int) {
	s.drop(s.places[key])
	if cost > s.limit/2 {
		return
	}
	for s.size+cost > s.limit {
		s.drop(s.order.Back())
	}
	s.places[key] = s.order.PushFront(&book{key, value, cost})
	s.size += cost
}

func (s *shelf) drop(place *list.Element) {
	if place == nil {
		return
	}
	book := s.order.Remove(place).(*book)
	delete(s.places, book.key)
	s.size -= book.cost
}

// clear drops everything.
func (s *shelf) clear() {
	clear(s.places)
	s.order.Init()
	s.size = 0
}

// kept finds or makes a value that only what key holds decides. Whatever fails isn't kept.
func kept[K comparable, V any](key K, make func() (V, int, error)) (V, error) {
	if found, ok := memory.get(key); ok {
		return found.(V), nil
	}
	made, cost, err := make()
	if err == nil {
		memory.put(key, made, cost)
	}
	return made, err
}
