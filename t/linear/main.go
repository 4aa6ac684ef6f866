// SPDX-License-Identifier: PostgreSQL

// linear records concurrent histories of calls on a few seats and checks with porcupine that each
// seat's history is linearizable: that some order of the calls, each between its call and its return,
// gives every answer that was given. 'busy' must have had another call beside it. Tells TAP.
//
// As a test of the checker itself, answers are then falsified, one in each history, and every such
// history must be caught.
package main

import (
	"database/sql"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/lib/pq"
)

const (
	checkTimeout = 60 * time.Second
	connections  = sessions + 2

	adminShutdown = "57P01"
)

type tally struct {
	histories, calls, busy, unknown, refused, ok int
	errors                                       map[string]int
}

func (t *tally) count(b *board) {
	t.histories++
	t.calls += len(b.history)
	for _, operation := range b.history {
		switch operation.Output.(answer) {
		case answeredOK:
			t.ok++
		case answeredBusy:
			t.busy++
		case answeredUnknown:
			t.unknown++
		default:
			t.refused++
		}
	}
	for code, n := range b.errors {
		t.errors[code] += n
	}
}

// busyAlone finds a call that was told 'busy' though no other was on its way.
func busyAlone(b *board) string {
	others := append(append([]porcupine.Operation(nil), b.history...), b.expiring...)
	for _, one := range b.history {
		if one.Output.(answer) != answeredBusy {
			continue
		}
		beside := false
		for _, other := range others {
			beside = beside || (other.ClientId != one.ClientId &&
				other.Call <= one.Return && one.Call <= other.Return)
		}
		if !beside {
			return model.DescribeOperation(one.Input, one.Output)
		}
	}
	return ""
}

// falsified is the history with one lie, which no order of the calls explains: somebody was told that
// he got a seat after another had been told that he had paid for it.
func falsified(history []porcupine.Operation, random *rand.Rand) []porcupine.Operation {
	var lies []int
	for i, later := range history {
		c := later.Input.(call)
		if c.Kind != reserve || later.Output.(answer) != "sold" {
			continue
		}
		for _, sold := range history {
			paid := sold.Input.(call)
			if paid.Kind == pay && paid.Seat == c.Seat && !paid.RolledBack &&
				sold.Output.(answer) == answeredOK && sold.Return < later.Call {
				lies = append(lies, i)
				break
			}
		}
	}
	if len(lies) == 0 {
		return nil
	}
	lie := append([]porcupine.Operation(nil), history...)
	lie[lies[random.Intn(len(lies))]].Output = answeredOK
	return lie
}

// unforeseen counts the errors that are not of a session that was ended.
func (t *tally) unforeseen() (n int) {
	for code, count := range t.errors {
		if code != "connection" && code != adminShutdown {
			n += count
		}
	}
	return n
}

func explain(history []porcupine.Operation, path string) string {
	_, info := porcupine.CheckOperationsVerbose(model, history, checkTimeout)
	if err := porcupine.VisualizePath(model, info, path); err != nil {
		return err.Error()
	}
	return "drawn in " + path
}

func tap(good bool, n int, name string) {
	verdict := "ok"
	if !good {
		verdict = "not ok"
	}
	fmt.Printf("%s %d - %s\n", verdict, n, name)
}

func run(conninfo, drawing string, histories int, seed int64) (bool, error) {
	connector, err := pq.NewConnector(conninfo + " application_name=linear")
	if err != nil {
		return false, err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	if _, err := db.Exec(makeLapse); err != nil {
		return false, err
	}
	random := rand.New(rand.NewSource(seed))
	all := tally{errors: map[string]int{}}
	wrong, alone, lies, caught := 0, 0, 0, 0
	for i := 0; i < histories; i++ {
		b, err := record(db, seed+int64(i))
		if err != nil {
			return false, err
		}
		all.count(b)
		if result := porcupine.CheckOperationsTimeout(model, b.history, checkTimeout); result != porcupine.Ok {
			wrong++
			fmt.Printf("# history %d: %s, %s\n", i, result, explain(b.history, drawing))
		}
		if call := busyAlone(b); call != "" {
			alone++
			fmt.Printf("# history %d: nobody was beside %s\n", i, call)
		}
		if lie := falsified(b.history, random); lie != nil {
			lies++
			if porcupine.CheckOperationsTimeout(model, lie, checkTimeout) == porcupine.Illegal {
				caught++
			}
		}
	}
	fmt.Printf("# %d histories, %d answers: %d ok, %d refused, %d busy, %d unknown; errors %v\n",
		all.histories, all.calls, all.ok, all.refused, all.busy, all.unknown, all.errors)
	tap(wrong == 0 && all.ok > 0, 1, fmt.Sprintf("%d histories are linearizable, seat by seat", histories))
	tap(alone == 0 && all.busy > 0, 2, "'busy' is said only while another call is on its way")
	tap(lies > 0 && caught == lies, 3, fmt.Sprintf("the checker catches every falsified answer (%d of %d)", caught, lies))
	tap(all.unforeseen() == 0, 4, "nothing raises but the end of a session")
	return wrong == 0 && alone == 0 && caught == lies && all.unforeseen() == 0, nil
}

func main() {
	conninfo := flag.String("conninfo", "", "the database, with the extension")
	histories := flag.Int("histories", 20, "how many to record")
	seed := flag.Int64("seed", 1, "of the sessions' choices; what meets what is up to the machine")
	drawing := flag.String("drawing", "linear.html", "where a wrong history is drawn")
	flag.Parse()
	good, err := run(*conninfo, *drawing, *histories, *seed)
	if err != nil {
		fmt.Fprintln(os.Stderr, "linear:", err)
		os.Exit(2)
	}
	if !good {
		os.Exit(1)
	}
}
