// Command porcupine lets Porcupine decide whether histories of the fault campaign are linearizable.
//
//	python -m tests.campaign.decide --porcupine HISTORY.json   writes HISTORY.porcupine.json
//	go run . [-seconds 30] [-html FOLDER] HISTORY.porcupine.json ...
//
// It prints a line per part of a history, the parts sharing no counter, limit and reservation: file, part, operations,
// ok, illegal or unknown, seconds, and what the verdict rests on if not on the whole part; divided by tabs. It ends with 1
// if a part is illegal, and with 2 if a file can't be read.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// A round is what tests/campaign/lowered.py writes.
type round struct {
	Stock, Limits, Free map[string]int
	Operations          []operation
	Reservations        map[string]struct {
		Status string
		Takes  map[string]int
	}
}

type operation struct {
	Text, What, Status, Reason, About string
	Call                              int64
	Returned                          *int64
	Takes, Counts, Budgets            map[string]int
}

// A part of a round shares no counter, limit and reservation with the rest of it.
type part struct {
	name         string
	slots        []string // counters and limits
	begin        vector[int]
	unlimited    vector[int]
	counters     int // how many of the slots are counters: they come first
	reservations []string
	history      []porcupine.Operation // the ledger's read is the last
	about        [][]int               // the operations about each reservation
	counting     map[int]map[int]bool  // the reservations that count for each limit
}

func read(file string) (*round, error) {
	bytes, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := new(round)
	if err := json.Unmarshal(bytes, r); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return r, nil
}

// touches returns the names of what an operation reads or changes.
func (o *operation) touches() []string {
	var names []string
	for _, units := range []map[string]int{o.Takes, o.Counts, o.Budgets} {
		for name := range units {
			names = append(names, name)
		}
	}
	if o.About != "" {
		names = append(names, "reservation "+o.About)
	}
	return names
}

// partsOf divides a round, and gives each part its share of the ledger's read as the last operation.
func partsOf(r *round) []*part {
	parents := map[string]string{}
	var find func(name string) string
	find = func(name string) string {
		if parent, known := parents[name]; known && parent != name {
			parents[name] = find(parent)
			return parents[name]
		}
		parents[name] = name
		return name
	}
	var end int64
	for i := range r.Operations {
		o := &r.Operations[i]
		names := o.touches()
		for _, name := range names[1:] {
			parents[find(name)] = find(names[0])
		}
		end = max(end, o.Call)
		if o.Returned != nil {
			end = max(end, *o.Returned)
		}
	}
	parts := map[string]*part{}
	partOf := func(name string) *part {
		root := find(name)
		if parts[root] == nil {
			parts[root] = &part{}
		}
		return parts[root]
	}
	slots := map[string]int{}
	for n, units := range []map[string]int{r.Stock, r.Limits} {
		for _, name := range names(units) {
			p := partOf(name)
			slots[name] = len(p.slots)
			p.slots = append(p.slots, name)
			if n == 0 {
				p.counters++
			}
		}
	}
	places := map[string]int{}
	for i := range r.Operations {
		o := &r.Operations[i]
		p := partOf(o.touches()[0])
		in := &input{text: o.Text, what: o.What, status: o.Status, reason: o.Reason, about: -1}
		in.wants = basket{o.Status, sorted(o.Takes, slots), sorted(o.Counts, slots), sorted(o.Budgets, slots), 0}
		if o.About != "" {
			if _, known := places[o.About]; !known {
				places[o.About] = len(p.reservations)
				p.reservations = append(p.reservations, o.About)
			}
			in.about = places[o.About]
		}
		returned := int64(math.MaxInt64)
		if o.Returned != nil {
			returned = *o.Returned
		}
		p.history = append(p.history, porcupine.Operation{
			Input: in, Call: o.Call, Output: output{o.Returned != nil}, Return: returned,
		})
	}
	var found []*part
	for _, p := range parts {
		if len(p.history) == 0 {
			continue
		}
		number(p.history)
		last := &input{text: "the ledger", what: "ledger", about: -1, rows: map[int]*basket{}}
		for place, id := range p.reservations {
			last.rows[place] = nil
			if row, known := r.Reservations[id]; known {
				last.rows[place] = &basket{status: row.Status, takes: sorted(row.Takes, slots)}
			}
		}
		changes := map[int]int{}
		for _, o := range p.history {
			if in := o.Input.(*input); in.what == "amend" || in.what == "cancel" {
				changes[in.about]++
			}
		}
		for _, o := range p.history {
			in := o.Input.(*input)
			in.row, in.wants.changes = last.rows[in.about], changes[in.about]
		}
		for slot, name := range p.slots[:p.counters] {
			last.left = append(last.left, amount{slot, r.Free[name]})
		}
		begin, much := make([]int, len(p.slots)), make([]int, len(p.slots))
		for slot, name := range p.slots {
			begin[slot], much[slot] = r.Limits[name], unlimited
			if slot < p.counters {
				begin[slot] = r.Stock[name]
			}
		}
		p.begin, p.unlimited = vectorOf(begin), vectorOf(much)
		p.name = strings.Join(p.slots[:p.counters], " ")
		p.history = append(p.history, porcupine.Operation{Input: last, Call: end + 1, Output: output{true}, Return: end + 1})
		p.about, p.counting = make([][]int, len(p.reservations)), map[int]map[int]bool{}
		for n, o := range p.history {
			in := o.Input.(*input)
			if in.about < 0 {
				continue
			}
			p.about[in.about] = append(p.about[in.about], n)
			for _, a := range append(append([]amount(nil), in.wants.counts...), in.wants.budgets...) {
				if p.counting[a.slot] == nil {
					p.counting[a.slot] = map[int]bool{}
				}
				p.counting[a.slot][in.about] = true
			}
		}
		found = append(found, p)
	}
	sort.Slice(found, func(i, j int) bool { return found[i].name < found[j].name })
	return found
}

// number gives each operation a client for the picture: one that has no other operation at that time.
func number(history []porcupine.Operation) {
	sort.SliceStable(history, func(i, j int) bool { return history[i].Call < history[j].Call })
	var busy []int64
	for i := range history {
		client := 0
		for client < len(busy) && busy[client] >= history[i].Call {
			client++
		}
		if client == len(busy) {
			busy = append(busy, 0)
		}
		busy[client], history[i].ClientId = history[i].Return, client
	}
}

func names(units map[string]int) []string {
	found := make([]string, 0, len(units))
	for name := range units {
		found = append(found, name)
	}
	sort.Strings(found)
	return found
}

func min[T ~int | ~int64](a, b T) T {
	if a < b {
		return a
	}
	return b
}

func max[T ~int | ~int64](a, b T) T {
	if a > b {
		return a
	}
	return b
}

func main() {
	seconds := flag.Float64("seconds", 30, "the longest search for an order of a part")
	html := flag.String("html", "", "write a picture of each part into this folder, except of the largest")
	flag.Parse()
	limit := time.Duration(*seconds * float64(time.Second))
	code := 0
	for _, file := range flag.Args() {
		r, err := read(file)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		for n, p := range partsOf(r) {
			began := time.Now()
			decided := p.decide(limit)
			took := time.Since(began).Seconds()
			verdict := strings.ToLower(string(decided.verdict))
			fmt.Printf("%s\t%s\t%d\t%s\t%.2f\t%s\n", file, p.name, len(p.history), verdict, took, decided.how)
			if decided.verdict == porcupine.Illegal {
				code = 1
			}
			if *html != "" && len(decided.history) <= mostDrawn {
				picture := filepath.Join(*html, fmt.Sprintf("%s.%d.html", filepath.Base(file), n))
				if err := decided.draw(picture); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(2)
				}
			}
		}
	}
	os.Exit(code)
}
