package main

import (
	"fmt"
	"sort"
	"strings"

	"github.com/anishathalye/porcupine"
)

// An amount is units of a slot: of a counter, of which units are left, or of a limit, of which room is left.
type amount struct{ slot, units int }

// A basket is a reservation's status and what it has taken. It never changes.
type basket struct {
	status                 string
	takes, counts, budgets []amount
	changes                int // amends and cancels that may still come
}

// An input is what was asked, and of a read what was seen.
type input struct {
	text, what, status, reason string
	about                      int // the reservation's place in the state; -1: none
	wants                      basket
	row                        *basket         // what the ledger says of the reservation in the end; nil: nothing
	rows                       map[int]*basket // of the ledger's read
	left                       []amount        // of the ledger's read
}

// An output says whether there was an answer.
type output struct{ answered bool }

// A state is what a sale knows. A step copies what it changes.
type state struct {
	left         vector[int]
	reservations vector[*basket]
	hash         uint64
	read         bool // the ledger was read: what had no answer until then may be without effect
}

const width = 32

// A vector is a list whose copies share what is equal.
type vector[T any] []*[width]T

func newVector[T any](n int) vector[T] {
	v, empty := make(vector[T], n/width+1), new([width]T)
	for i := range v {
		v[i] = empty
	}
	return v
}

func vectorOf[T any](values []T) vector[T] {
	v := newVector[T](len(values))
	for i := range v {
		v[i] = new([width]T)
		copy(v[i][:], values[min(i*width, len(values)):])
	}
	return v
}

func (v vector[T]) at(i int) T { return v[i/width][i%width] }

func (v vector[T]) with(i int, value T) vector[T] {
	w := append(vector[T](nil), v...)
	chunk := *v[i/width]
	chunk[i%width] = value
	w[i/width] = &chunk
	return w
}

func (v vector[T]) equal(w vector[T], same func(a, b T) bool) bool {
	for i := range v {
		if v[i] == w[i] {
			continue
		}
		for j := range v[i] {
			if !same(v[i][j], w[i][j]) {
				return false
			}
		}
	}
	return true
}

// saleOf is the sequential specification of a sale that begins with these units and this room in slots of these names.
func saleOf(names []string, left vector[int], reservations int) porcupine.Model {
	begin := state{left: left, reservations: newVector[*basket](reservations)}
	return porcupine.Model{
		Init: func() interface{} { return begin },
		Step: func(s, in, out interface{}) (bool, interface{}) {
			return step(s.(state), in.(*input), out.(output))
		},
		Equal: func(a, b interface{}) bool {
			s, t := a.(state), b.(state)
			return s.hash == t.hash && s.read == t.read &&
				s.left.equal(t.left, func(a, b int) bool { return a == b }) &&
				s.reservations.equal(t.reservations, (*basket).equal)
		},
		Hash:              func(s interface{}) uint64 { return s.(state).hash },
		DescribeOperation: func(in, _ interface{}) string { return in.(*input).text },
		DescribeState: func(s interface{}) string {
			var words []string
			for slot, name := range names {
				if units := s.(state).left.at(slot); units < unlimited/2 && units != left.at(slot) {
					words = append(words, fmt.Sprintf("%s: %d left", name, units))
				}
			}
			return strings.Join(words, ", ")
		},
	}
}

// step says whether a sale in this state may answer so, and returns its next state.
func step(s state, in *input, out output) (bool, state) {
	if s.read {
		return !out.answered, s
	}
	var now *basket
	if in.about >= 0 {
		now = s.reservations.at(in.about)
	}
	switch in.what {
	case "restock":
		return true, s.move(nil, in.wants.takes)
	case "reserve": // units are free, no limit and no budget is exceeded, and an id is used once
		if now != nil || s.short(in.wants.takes) || s.short(in.wants.counts) || s.short(in.wants.held(in.status)) {
			return false, s
		}
		return s.become(in, now, in.wants.as(in.status))
	case "amend": // a hold or an order gets another basket, by the difference
		if now == nil || !now.live() {
			return false, s
		}
		takes, counts := minus(in.wants.takes, now.takes), minus(in.wants.counts, now.counts)
		if s.short(takes) || s.short(counts) || s.short(minus(in.wants.held(now.status), now.held(now.status))) {
			return false, s
		}
		after := in.wants.as(now.status)
		after.changes = now.changes - 1
		return s.become(in, now, after)
	case "cancel": // units of an order go back; when none is left, it is cancelled
		if now == nil || now.status != "confirmed" {
			return false, s
		}
		rest := basket{now.status, minus(now.takes, in.wants.takes), minus(now.counts, in.wants.counts),
			minus(now.budgets, in.wants.budgets), now.changes - 1}
		if negative(rest.takes) || negative(rest.counts) {
			return false, s
		}
		if len(rest.takes) == 0 {
			rest.status = "cancelled"
		}
		return s.become(in, now, &rest)
	case "end", "expire": // a hold ends once; the same answer again is no change
		if now != nil && now.status == in.status {
			return in.what == "end", s
		}
		if now == nil || now.status != "held" {
			return false, s
		}
		return s.become(in, now, now.as(in.status))
	case "see":
		return now != nil && now.status == in.status || now == nil && in.status == "", s
	case "refuse", "refuse amend":
		return s.refuses(in, now), s
	case "ledger": // nothing is held, and all is as the ledger has it
		for about, row := range in.rows {
			if !s.reservations.at(about).equal(row) {
				return false, s
			}
		}
		for _, a := range in.left {
			if s.left.at(a.slot) != a.units {
				return false, s
			}
		}
		s.read = true
		s.hash++
		return true, s
	}
	panic("no operation is called " + in.what)
}

// refuses says whether what was asked for lacks units, or room in a limit or a budget. A key that has a reservation is
// not refused: it has one outcome.
func (s state) refuses(in *input, now *basket) bool {
	takes, counts, budgets := in.wants.takes, in.wants.counts, in.wants.held(in.status)
	if in.what == "refuse amend" {
		if now == nil || !now.live() {
			return false
		}
		takes, counts = minus(takes, now.takes), minus(counts, now.counts)
		budgets = minus(in.wants.held(now.status), now.held(now.status))
	} else if now != nil {
		return false
	}
	switch in.reason {
	case "sold-out":
		return s.short(takes)
	case "limit-reached":
		return s.short(counts)
	case "hold-budget-reached":
		return s.short(budgets)
	}
	panic("no refusal is called " + in.reason)
}

// short says whether less is left of a slot than a change takes. What gives back is never short.
func (s state) short(change []amount) bool {
	for _, a := range change {
		if a.units > 0 && s.left.at(a.slot) < a.units {
			return true
		}
	}
	return false
}

// become replaces a reservation: what the first basket has goes back, and what the second needs is taken. It refuses what
// can't lead to what the ledger has in the end.
func (s state) become(in *input, before, after *basket) (bool, state) {
	if !after.leads(in.row) {
		return false, s
	}
	if before != nil {
		s = s.move(nil, before.all())
	}
	s = s.move(after.all(), nil)
	s.hash ^= before.hash(in.about) ^ after.hash(in.about)
	s.reservations = s.reservations.with(in.about, after)
	return true, s
}

func (s state) move(taken, given []amount) state {
	for _, a := range minus(given, taken) {
		s.left = s.left.with(a.slot, s.left.at(a.slot)+a.units)
	}
	return s
}

// leads says whether a reservation may still become what the ledger has. The end of a hold is final, apart from the
// cancelling of an order; and so is the basket, when all that changes it has happened.
func (b *basket) leads(row *basket) bool {
	if row == nil || b.status != "held" && b.status != row.status && !(b.status == "confirmed" && row.status == "cancelled") {
		return false
	}
	return b.changes > 0 || len(minus(b.takes, row.takes)) == 0
}

// live says whether the basket's units are taken.
func (b *basket) live() bool { return b.status == "held" || b.status == "confirmed" }

func (b *basket) as(status string) *basket {
	return &basket{status, b.takes, b.counts, b.budgets, b.changes}
}

// held returns what counts for hold budgets, which an order does not.
func (b *basket) held(status string) []amount {
	if status == "held" {
		return b.budgets
	}
	return nil
}

// all returns what a reservation takes from every slot.
func (b *basket) all() []amount {
	if !b.live() {
		return nil
	}
	return minus(minus(b.takes, minus(nil, b.counts)), minus(nil, b.held(b.status)))
}

// equal compares status and units, which say what counts for limits: a reservation has one customer.
func (b *basket) equal(c *basket) bool {
	return b == c || b != nil && c != nil && b.status == c.status && len(minus(b.takes, c.takes)) == 0
}

func (b *basket) hash(about int) uint64 {
	if b == nil {
		return 0
	}
	h := uint64(about)*0x9e3779b97f4a7c15 + 1
	for _, letter := range []byte(b.status) {
		h = (h ^ uint64(letter)) * 0x100000001b3
	}
	for _, a := range b.takes {
		h = (h^uint64(a.slot))*0x100000001b3 + uint64(a.units)
	}
	h ^= h >> 29
	h *= 0xbf58476d1ce4e5b9
	return h ^ h>>32
}

func negative(change []amount) bool {
	for _, a := range change {
		if a.units < 0 {
			return true
		}
	}
	return false
}

// minus subtracts amounts, which are sorted by slot, and leaves out what is zero.
func minus(a, b []amount) []amount {
	if len(b) == 0 {
		return a
	}
	difference := make([]amount, 0, len(a)+len(b))
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].slot < b[0].slot:
			difference, a = append(difference, a[0]), a[1:]
		case len(a) == 0 || b[0].slot < a[0].slot:
			difference, b = append(difference, amount{b[0].slot, -b[0].units}), b[1:]
		default:
			if units := a[0].units - b[0].units; units != 0 {
				difference = append(difference, amount{a[0].slot, units})
			}
			a, b = a[1:], b[1:]
		}
	}
	return difference
}

func sorted(units map[string]int, slots map[string]int) []amount {
	amounts := make([]amount, 0, len(units))
	for name, n := range units {
		if n != 0 {
			amounts = append(amounts, amount{slots[name], n})
		}
	}
	sort.Slice(amounts, func(i, j int) bool { return amounts[i].slot < amounts[j].slot })
	return amounts
}
