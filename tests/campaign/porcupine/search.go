package main

import (
	"math"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"
)

// A decision is Porcupine's verdict about a part, what it rests on ("" is the whole part), and the history that shows it.
type decision struct {
	verdict porcupine.CheckResult
	how     string
	model   porcupine.Model
	history []porcupine.Operation
}

// decide lets Porcupine decide about a part.
//
// A part has an order only if each reservation alone has one, and each limit with the reservations that count for it.
// These few operations are decided at once. Where the whole part stays undecided, orders that Porcupine found for the
// limits narrow the times of its operations: an order that is left then is an order of the part.
func (p *part) decide(limit time.Duration) decision {
	whole := decision{porcupine.Illegal, "", p.model(all), p.history}
	if counter := p.unbalanced(); counter != "" {
		whole.how = "sum of " + counter
		return whole
	}
	for place, id := range p.reservations {
		alone, _ := p.project(p.history, none, map[int]bool{place: true})
		if porcupine.CheckOperationsTimeout(p.model(none), alone, limit) == porcupine.Illegal {
			return decision{porcupine.Illegal, "reservation " + id, p.model(none), alone}
		}
	}
	for slot := p.counters; slot < len(p.slots); slot++ {
		alone, _ := p.project(p.history, slot, p.counting[slot])
		if porcupine.CheckOperationsTimeout(p.model(slot), alone, limit) == porcupine.Illegal {
			return decision{porcupine.Illegal, "limit " + p.slots[slot], p.model(slot), alone}
		}
	}
	whole.verdict = porcupine.CheckOperationsTimeout(whole.model, p.history, min(limit, atFirst))
	if whole.verdict == porcupine.Unknown {
		narrowed := append([]porcupine.Operation(nil), p.history...)
		for slot := p.counters; slot < len(p.slots); slot++ {
			p.narrow(narrowed, slot, limit)
		}
		if porcupine.CheckOperationsTimeout(whole.model, narrowed, limit) == porcupine.Ok {
			return decision{porcupine.Ok, "narrowed by limits", whole.model, narrowed}
		}
		whole.verdict = porcupine.CheckOperationsTimeout(whole.model, p.history, limit)
	}
	return whole
}

// atFirst is how long the whole part is searched before its times are narrowed, and again for its picture.
const atFirst = 2 * time.Second

// In place of a slot: every one is limited, or none is.
const all, none = -2, -1

// unlimited is what is left of a slot that is not looked at.
const unlimited = 1 << 40

// model returns the specification of a sale in which only this slot is limited.
func (p *part) model(slot int) porcupine.Model {
	left := p.begin
	if slot != all {
		left = p.unlimited
	}
	if slot >= 0 {
		left = left.with(slot, p.begin.at(slot))
	}
	return saleOf(p.slots, left, len(p.reservations))
}

// project returns what of a history is about these reservations, with the refusals of this slot alone, and the places.
func (p *part) project(history []porcupine.Operation, slot int, some map[int]bool) ([]porcupine.Operation, []int) {
	var places []int
	for place := range some {
		for _, n := range p.about[place] {
			if in := history[n].Input.(*input); in.reason == "" || in.isRefusedBy(slot) {
				places = append(places, n)
			}
		}
	}
	sort.Ints(places)
	var found []porcupine.Operation
	for _, n := range places {
		found = append(found, history[n])
	}
	last := history[len(history)-1]
	read := *last.Input.(*input)
	read.rows, read.left = map[int]*basket{}, nil
	for place := range some {
		read.rows[place] = last.Input.(*input).rows[place]
	}
	last.Input = &read
	return append(found, last), places
}

// narrow finds an order of the operations that count for a limit which could be reached, and changes their times in the
// history so that no other order of them is left.
func (p *part) narrow(history []porcupine.Operation, slot int, limit time.Duration) {
	alone, places := p.project(history, slot, p.counting[slot])
	sum := 0
	for _, o := range alone {
		wants := o.Input.(*input).wants
		for _, a := range append(append([]amount(nil), wants.counts...), wants.budgets...) {
			if a.slot == slot {
				sum += a.units
			}
		}
	}
	if sum <= p.begin.at(slot) {
		return
	}
	result, info := porcupine.CheckOperationsVerbose(p.model(slot), alone[:len(alone)-1], limit)
	if result != porcupine.Ok {
		return
	}
	order := info.PartialLinearizations()[0][0]
	last, at, latest := int64(0), make([]int64, len(order)), int64(math.MaxInt64)
	for i := len(order) - 1; i >= 0; i-- {
		latest = min(latest, alone[order[i]].Return)
		at[i] = latest
	}
	for i, n := range order {
		last = max(last, alone[n].Call)
		if at[i] < math.MaxInt64 {
			last += (at[i] - last) / 2
		} else {
			last += 2 // an operation without an answer, after the others
		}
		at[i] = last
	}
	for i, n := range order[1:] {
		before, after := &history[places[order[i]]], &history[places[n]]
		if cut := at[i] + (at[i+1]-at[i])/2; cut < at[i+1] {
			before.Return, after.Call = min(before.Return, cut), max(after.Call, cut+1)
		}
	}
}

// unbalanced returns a counter of which the ledger's units are not those of the beginning, with all that was restocked,
// without what the ledger's reservations have taken.
func (p *part) unbalanced() string {
	last := p.history[len(p.history)-1].Input.(*input)
	least, most := make([]int, len(p.slots)), make([]int, len(p.slots))
	for slot := range p.slots {
		least[slot], most[slot] = p.begin.at(slot), p.begin.at(slot)
	}
	for _, o := range p.history {
		if in := o.Input.(*input); in.what == "restock" {
			for _, a := range in.wants.takes {
				most[a.slot] += a.units
				if o.Output.(output).answered {
					least[a.slot] += a.units
				}
			}
		}
	}
	for _, row := range last.rows {
		if row != nil {
			for _, a := range row.all() {
				least[a.slot] -= a.units
				most[a.slot] -= a.units
			}
		}
	}
	for _, a := range last.left {
		if a.units < 0 || a.units < least[a.slot] || a.units > most[a.slot] {
			return p.slots[a.slot]
		}
	}
	return ""
}

// isRefusedBy says whether a refusal rests on this slot alone.
func (in *input) isRefusedBy(slot int) bool {
	by := map[string][]amount{
		"sold-out": in.wants.takes, "limit-reached": in.wants.counts, "hold-budget-reached": in.wants.budgets,
	}[in.reason]
	return len(by) == 1 && by[0].slot == slot
}

// mostDrawn is how many operations a picture may have: one of 10,000 takes 340 MB, which no browser shows.
const mostDrawn = 2_000

// draw writes Porcupine's picture of the history that shows a verdict, after a short search for the orders in it.
func (d decision) draw(file string) error {
	_, info := porcupine.CheckOperationsVerbose(d.model, d.history, atFirst)
	return porcupine.VisualizePath(d.model, info, file)
}
