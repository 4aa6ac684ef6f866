// SPDX-License-Identifier: PostgreSQL

package main

// What one seat does when calls come one after another: the order that a history must have.
//
// A booking is pending on the seat, lapsed (its time is over: it reads as free), paid, cancelled, or
// gone (lapsed, and the seat taken by the next). A call whose outcome is unknown may have happened or
// not; 'busy' says that it did not, and a rolled-back call was answered but did nothing.

import (
	"fmt"
	"sort"
	"strings"

	"github.com/anishathalye/porcupine"
)

type kind string

const (
	reserve kind = "reserve"
	cancel  kind = "cancel"
	pay     kind = "pay"
	extend  kind = "extend"
	lapse   kind = "lapse" // the time of a booking is over
	block   kind = "block"
	unblock kind = "unblock"
	look    kind = "look" // the seat map
)

// call is what a session asked of one seat.
type call struct {
	Kind       kind
	Seat       string
	Booking    string // of reserve: the one that it made, if it did
	RolledBack bool
}

// answer is "ok", a reason, a state of the seat map, or unknown.
type answer string

const (
	answeredOK      answer = "ok"
	answeredBusy    answer = "busy"
	answeredUnknown answer = "?"
)

// seat is a value, so that states compare with ==.
type seat struct {
	Holder  string // the booking that is pending, lapsed or paid here
	Status  string // of the holder: "pending", "lapsed" or "paid"
	Blocked bool
	Past    string // "booking=cancelled " or "booking=gone ", in order
}

func (s seat) free() bool {
	return s.Holder == "" || s.Status == "lapsed"
}

func (s seat) state() answer {
	switch {
	case s.Blocked:
		return "blocked"
	case s.free():
		return "free"
	case s.Status == "paid":
		return "sold"
	}
	return "pending"
}

func (s seat) past(booking string) string {
	for _, entry := range strings.Fields(s.Past) {
		if name, how, _ := strings.Cut(entry, "="); name == booking {
			return how
		}
	}
	return ""
}

func (s seat) leave(how string) seat {
	if s.Holder != "" {
		entries := append(strings.Fields(s.Past), s.Holder+"="+how)
		sort.Strings(entries)
		s.Past = strings.Join(entries, " ")
	}
	s.Holder, s.Status = "", ""
	return s
}

// taken is what reserving and blocking are told of a seat, "" if they may have it.
func (s seat) taken() answer {
	switch {
	case s.free():
		return ""
	case s.Status == "paid":
		return "sold"
	}
	return "held"
}

// judged is what the owner of a booking is told of it, "" if it is pending.
func (s seat) judged(booking string) answer {
	if s.Holder == booking {
		switch s.Status {
		case "paid":
			return "already_paid"
		case "lapsed":
			return "expired"
		}
		return ""
	}
	switch s.past(booking) {
	case "cancelled":
		return "already_resolved"
	case "gone":
		return "expired"
	}
	return "unknown"
}

// apply is the right answer to a call, and the seat after it.
func (s seat) apply(c call) (answer, seat) {
	next := s
	var refused answer
	switch c.Kind {
	case look:
		return s.state(), s
	case reserve:
		if refused = s.taken(); s.Blocked {
			refused = "blocked"
		}
		next = s.leave("gone")
		next.Holder, next.Status = c.Booking, "pending"
	case block, unblock:
		refused = s.taken()
		next.Blocked = c.Kind == block
	case lapse:
		if refused = s.judged(c.Booking); refused != "" {
			refused = "nothing"
		}
		next.Status = "lapsed"
	case cancel:
		refused = s.judged(c.Booking)
		next = s.leave("cancelled")
	case pay:
		refused = s.judged(c.Booking)
		next.Status = "paid"
	case extend:
		refused = s.judged(c.Booking)
	}
	if refused != "" {
		return refused, s
	}
	return answeredOK, next
}

func step(state, input, output interface{}) (bool, interface{}) {
	s, c, told := state.(seat), input.(call), output.(answer)
	if told == answeredBusy {
		return true, s
	}
	right, next := s.apply(c)
	if told != answeredUnknown && told != right {
		return false, s
	}
	if c.RolledBack {
		return true, s
	}
	return true, next
}

func bySeat(history []porcupine.Operation) [][]porcupine.Operation {
	parts := map[string][]porcupine.Operation{}
	for _, operation := range history {
		name := operation.Input.(call).Seat
		parts[name] = append(parts[name], operation)
	}
	var all [][]porcupine.Operation
	for _, part := range parts {
		all = append(all, part)
	}
	return all
}

var model = porcupine.Model{
	Partition: bySeat,
	Init:      func() interface{} { return seat{} },
	Step:      step,
	DescribeOperation: func(input, output interface{}) string {
		c := input.(call)
		return fmt.Sprintf("%s(%s) -> %s", c.Kind, c.Booking, output)
	},
}
