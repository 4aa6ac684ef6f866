// SPDX-License-Identifier: PostgreSQL

package main

// Records what many sessions ask of few seats at once: each call with the monotonic times between
// which it took place, as the client saw them.

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/lib/pq"
)

const (
	sessions      = 8
	callsEach     = 30
	hotSeats      = 3
	callTimeout   = 20 * time.Second
	killOneIn     = 150 // calls after which some session of the history is ended
	rollbackOneIn = 8
	pendingMillis = 10
)

// Lets the time of a booking be over, under the booking's lock, which extend() takes: what is at work on
// the booking sees it happen before or after, as it does with time itself.
const makeLapse = `CREATE FUNCTION lapse(booking uuid, whose uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	IF NOT (SELECT ok FROM concert.extend(booking, whose, 1)) THEN
		RETURN false;
	END IF;
	UPDATE concert.reservation SET expires_at = clock_timestamp() - interval '1 second'
	WHERE booking_id = booking AND status = 'pending';
	RETURN FOUND;
END $$`

type hall struct {
	date  string
	seats []string
	users []string
}

// board is what the sessions know of each other: bookings to work on.
type board struct {
	sync.Mutex
	start    time.Time
	bookings []booking
	history  []porcupine.Operation
	expiring []porcupine.Operation // the reaper's calls, which no seat's history shows
	errors   map[string]int
}

type booking struct {
	id    string
	user  string
	seats []string
}

func (b *board) now() int64 {
	return int64(time.Since(b.start))
}

func (b *board) add(client int, called, returned int64, c call, told answer) {
	if told == answeredUnknown {
		returned = math.MaxInt64
	}
	b.Lock()
	defer b.Unlock()
	b.history = append(b.history, porcupine.Operation{
		ClientId: client, Input: c, Call: called, Output: told, Return: returned})
}

func (b *board) anyBooking(random *rand.Rand) (booking, bool) {
	b.Lock()
	defer b.Unlock()
	if len(b.bookings) == 0 {
		return booking{}, false
	}
	// mostly a recent one: it is the one that others are at work on
	recent := 1 + random.Intn(4)
	if recent > len(b.bookings) {
		recent = len(b.bookings)
	}
	return b.bookings[len(b.bookings)-recent], true
}

func makeHall(db *sql.DB) (h hall, err error) {
	err = db.QueryRow(`SELECT concert.create_concert_date(concert.create_concert('Linear'),
		now() + interval '30 days', seats_per_user_max => 1000)`).Scan(&h.date)
	if err != nil {
		return h, err
	}
	_, err = db.Exec(`SELECT concert.add_seats($1, concert.create_section($1, 'Hot', 1), 1,
		array_agg(n)) FROM generate_series(1, $2) AS n`, h.date, hotSeats)
	if err != nil {
		return h, err
	}
	err = db.QueryRow(`SELECT array_agg(seat_id ORDER BY col) FROM concert.seat_map($1)`, h.date).
		Scan(pq.Array(&h.seats))
	if err != nil {
		return h, err
	}
	err = db.QueryRow(`SELECT array_agg(u) FROM (SELECT gen_random_uuid() AS u
		FROM generate_series(1, $1)) AS users`, sessions).Scan(pq.Array(&h.users))
	if err != nil {
		return h, err
	}
	_, err = db.Exec(`SELECT concert.charge_points(u, 1000, 'PTS', 'linear', u::text)
		FROM unnest($1::uuid[]) AS u`, pq.Array(h.users))
	return h, err
}

// session is one client of a history.
type session struct {
	*board
	hall
	db     *sql.DB
	client int
	random *rand.Rand
}

// asked is a call on its way: what it wants, and how to tell its answer seat by seat.
type asked struct {
	kind    kind
	booking booking
	seats   []string
	sql     string
	args    []interface{}
}

type refusedSeat struct {
	SeatID string `json:"seat_id"`
	Reason string `json:"reason"`
}

func (s *session) choose() asked {
	seats := append([]string(nil), s.seats...)
	s.random.Shuffle(len(seats), func(i, j int) { seats[i], seats[j] = seats[j], seats[i] })
	seats = seats[:1+s.random.Intn(2)]
	user := s.users[s.client]
	known, any := s.anyBooking(s.random)
	about := func(k kind, sql string, args ...interface{}) asked {
		return asked{k, known, known.seats, sql, append([]interface{}{known.id, known.user}, args...)}
	}
	switch n := s.random.Intn(20); {
	case any && n < 3:
		return about(cancel, `SELECT ok, coalesce(reason, ''), '[]', '' FROM concert.cancel($1, $2)`)
	case any && n < 4:
		return about(pay, `SELECT ok, coalesce(reason, ''), '[]', '' FROM concert.pay($1, $2)`)
	case any && n < 6:
		return about(extend, `SELECT ok, coalesce(reason, ''), '[]', '' FROM concert.extend($1, $2, 900)`)
	case any && n < 9:
		return about(lapse, `SELECT lapse($1, $2), 'nothing', '[]', ''`)
	case n < 10:
		return asked{block, booking{}, seats[:1], `SELECT ok, coalesce(reason, ''), seats, ''
			FROM concert.block_seats($1, 'linear')`, []interface{}{pq.Array(seats[:1])}}
	case n < 12:
		return asked{unblock, booking{}, seats[:1], `SELECT ok, coalesce(reason, ''), seats, ''
			FROM concert.unblock_seats($1)`, []interface{}{pq.Array(seats[:1])}}
	case n < 14:
		return asked{look, booking{}, seats[:1], `SELECT true, state, '[]', ''
			FROM concert.seat_map($1) WHERE seat_id = $2`, []interface{}{s.date, seats[0]}}
	}
	return asked{reserve, booking{user: user, seats: seats}, seats,
		`SELECT ok, coalesce(reason, ''), seats, coalesce(booking_id::text, '')
		FROM concert.reserve($1, $2, $3, 900)`, []interface{}{s.date, pq.Array(seats), user}}
}

// run makes one call in a transaction of its own and records it.
func (s *session) run(a asked, rollBack bool) {
	var ok bool
	var reason, listed, made string
	called := s.now()
	err := s.inTransaction(rollBack, a, &ok, &reason, &listed, &made)
	returned := s.now()
	if a.kind == reserve {
		a.booking.id = made
	}
	if err != nil {
		s.note(err)
		for _, name := range a.seats {
			s.add(s.client, called, returned, call{a.kind, name, a.name(s, called), rollBack}, answeredUnknown)
		}
		return
	}
	for _, name := range a.seats {
		told, judged := a.answer(name, ok, reason, listed)
		if judged {
			s.add(s.client, called, returned, call{a.kind, name, a.name(s, called), rollBack}, told)
		}
	}
	if a.kind == reserve && ok && !rollBack {
		s.Lock()
		s.bookings = append(s.bookings, a.booking)
		s.Unlock()
	}
}

// name is the booking's id, or for a reserve that made none (as far as is known) one that nobody asks for.
func (a asked) name(s *session, called int64) string {
	if a.kind == reserve && a.booking.id == "" {
		return fmt.Sprintf("session-%d-at-%d", s.client, called)
	}
	return a.booking.id
}

// answer is what the call said of one seat, and whether it said anything: a seat of a refused request
// that is not listed may have been looked at or not.
func (a asked) answer(name string, ok bool, reason, listed string) (answer, bool) {
	if a.kind == look {
		return answer(reason), true
	}
	if ok {
		return answeredOK, true
	}
	if a.kind != reserve {
		return answer(reason), true
	}
	var refused []refusedSeat
	if err := json.Unmarshal([]byte(listed), &refused); err != nil {
		return answeredUnknown, true
	}
	for _, r := range refused {
		if r.SeatID == name {
			return answer(r.Reason), true
		}
	}
	return "", false
}

func (s *session) inTransaction(rollBack bool, a asked, into ...interface{}) error {
	ctx, stop := context.WithTimeout(context.Background(), callTimeout)
	defer stop()
	if !rollBack {
		return s.db.QueryRowContext(ctx, a.sql, a.args...).Scan(into...)
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := tx.QueryRowContext(ctx, a.sql, a.args...).Scan(into...); err != nil {
		return err
	}
	// others meet the open transaction
	_, err = tx.ExecContext(ctx, `SELECT pg_sleep($1 / 1000.0)`, s.random.Intn(pendingMillis))
	return err
}

func (s *session) note(err error) {
	code := "connection"
	var pgError *pq.Error
	if errors.As(err, &pgError) {
		code = string(pgError.Code)
	}
	s.Lock()
	s.errors[code]++
	s.Unlock()
}

// killOne ends the backend of some session in the middle of whatever it does.
func (s *session) killOne() {
	_, _ = s.db.Exec(`SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity
		WHERE application_name = 'linear' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1) AS one`)
}

// record is one history: all sessions at once, and expire() all the time, which nobody can see.
func record(db *sql.DB, seed int64) (*board, error) {
	h, err := makeHall(db)
	if err != nil {
		return nil, err
	}
	b := &board{start: time.Now(), errors: map[string]int{}}
	var clients, reaper sync.WaitGroup
	over := make(chan struct{})
	reaper.Add(1)
	go func() {
		defer reaper.Done()
		for {
			select {
			case <-over:
				return
			case <-time.After(2 * time.Millisecond):
				called := b.now()
				_, _ = db.Exec(`SELECT concert.expire()`)
				b.expiring = append(b.expiring, porcupine.Operation{ClientId: sessions, Call: called, Return: b.now()})
			}
		}
	}()
	for client := 0; client < sessions; client++ {
		s := &session{b, h, db, client, rand.New(rand.NewSource(seed*sessions + int64(client)))}
		clients.Add(1)
		go func() {
			defer clients.Done()
			for i := 0; i < callsEach; i++ {
				s.run(s.choose(), s.random.Intn(rollbackOneIn) == 0)
				if s.random.Intn(killOneIn) == 0 {
					s.killOne()
				}
			}
		}()
	}
	clients.Wait()
	close(over)
	reaper.Wait()
	return b, nil
}
