/* SPDX-License-Identifier: PostgreSQL */
/*
 * The pool. A session is DOWN (waiting to be opened again), OPENING, IDLE or BUSY with one call.
 * Calls wait in one queue; all calls of a pool have the same timeout, so the head of the queue is
 * always the first to be late and one timer is enough for it. libpq only ever sees the loop's
 * thread, but for PQcancel, which blocks and therefore runs in a thread of its own on nothing but
 * its private PGcancel.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "clock.h"
#include "db.h"
#include "log.h"
#include "metrics.h"

#define RECONNECT_MIN_MS 100
#define RECONNECT_MAX_MS 5000
#define CONNECT_TIMEOUT_SECONDS 5
#define CANCELS_MAX 8 /* PQcancel threads at once; a call beyond them is not cancelled */
#define ERRSTR_BYTES 256

typedef enum SessionState
{
	SESSION_DOWN,
	SESSION_OPENING,
	SESSION_IDLE,
	SESSION_BUSY
} SessionState;

typedef struct Call
{
	TAILQ_ENTRY(Call) link;
	double		since_seconds;
	double		deadline_seconds;
	DbEach		each;
	DbDone		done;
	void	   *arg;
	int			count;
	DbStatement statements[]; /* their text follows in the same allocation */
} Call;

typedef struct Session
{
	Db			 *db;
	SessionState  state;
	PGconn		 *pg;
	struct event *io;
	struct event *timer; /* reopening, opening, or the deadline of the call */
	Call		 *call;
	int			  results; /* statements of the call that are answered */
	PGresult	 *answer;  /* the last result, or the first error */
	int			  delay_ms;
	const char	 *broken; /* why a BUSY session is to be given up at the next turn of the loop */
} Session;

struct Db
{
	struct event_base *base;
	char			  *conninfo;
	char			  *application_name;
	int				   queue_max;
	int				   timeout_ms;
	TAILQ_HEAD(, Call) queue;
	int			  queued;
	struct event *queue_timer;
	int			  connected;
	bool		  closing;
	void (*changed)(void *arg, bool connected);
	void   *changed_arg;
	int		session_count;
	Session sessions[];
};

static atomic_int cancels_running;

static Call	   *call_new(const DbStatement *statements, int n);
static void		call_answer(Db *db, Call *call, const PGresult *res, const char *errstr);
static void		call_free(Call *call);
static void		db_dispatch(Db *db);
static void		db_arm_queue_timer(Db *db);
static void		db_queue_late(evutil_socket_t fd, short what, void *arg);
static Session *db_idle_session(Db *db);
static void		session_open(Session *session);
static void		session_opening(Session *session);
static void		session_ready(Session *session);
static void		session_lost(Session *session, const char *why);
static void		session_break(Session *session, const char *why);
static void		session_close_handle(Session *session);
static void		session_timer(evutil_socket_t fd, short what, void *arg);
static void		session_io(evutil_socket_t fd, short what, void *arg);
static void		session_wait(Session *session, short what);
static void		session_send(Session *session, Call *call);
static void		session_flush(Session *session);
static void		session_read(Session *session);
static void		session_take_result(Session *session, PGresult *res);
static void		session_finish(Session *session);
static void		session_late(Session *session);
static void		cancel_start(PGconn *pg);
static void	   *cancel_run(void *arg);
static void		ignore_notice(void *arg, const char *message);

Db *
db_open(struct event_base *base, const char *conninfo, int pool_size, int queue_max, int timeout_ms,
		const char *application_name)
{
	Db *db;

	if (pool_size < 1 || pool_size > DB_POOL_MAX)
		return NULL;
	db = calloc(1, sizeof(Db) + (size_t) pool_size * sizeof(Session));
	if (db == NULL)
		return NULL;
	db->base = base;
	db->conninfo = strdup(conninfo);
	db->application_name = strdup(application_name);
	db->queue_max = queue_max;
	db->timeout_ms = timeout_ms;
	db->queue_timer = evtimer_new(base, db_queue_late, db);
	db->session_count = pool_size;
	TAILQ_INIT(&db->queue);
	for (int i = 0; i < pool_size; i++)
	{
		db->sessions[i].db = db;
		db->sessions[i].delay_ms = RECONNECT_MIN_MS;
		db->sessions[i].timer = evtimer_new(base, session_timer, &db->sessions[i]);
		clock_wait(db->sessions[i].timer, 0);
	}
	return db;
}

void
db_close(Db *db)
{
	Call *call;

	if (db == NULL)
		return;
	db->closing = true;
	for (int i = 0; i < db->session_count; i++)
	{
		if (db->sessions[i].state != SESSION_DOWN)
			session_lost(&db->sessions[i], "closing");
		event_free(db->sessions[i].timer);
	}
	while ((call = TAILQ_FIRST(&db->queue)) != NULL)
	{
		TAILQ_REMOVE(&db->queue, call, link);
		call_answer(db, call, NULL, "closing");
		call_free(call);
	}
	event_free(db->queue_timer);
	free(db->conninfo);
	free(db->application_name);
	free(db);
}

bool
db_call(Db *db, const char *sql, int nparams, const char *const *values, DbDone done, void *arg)
{
	DbStatement statement = {.sql = sql, .nparams = nparams};

	if (nparams < 0 || nparams > DB_PARAMS_MAX)
		return false;
	for (int i = 0; i < nparams; i++)
		statement.values[i] = values[i];
	return db_batch(db, &statement, 1, NULL, done, arg);
}

bool
db_batch(Db *db, const DbStatement *statements, int n, DbEach each, DbDone finished, void *arg)
{
	Call *call;

	if (n < 1 || n > DB_BATCH_MAX || db->queued >= db->queue_max || db->closing)
		return false;
	call = call_new(statements, n);
	if (call == NULL)
		return false;
	call->since_seconds = clock_seconds();
	call->deadline_seconds = call->since_seconds + db->timeout_ms / 1e3;
	call->each = each;
	call->done = finished;
	call->arg = arg;
	TAILQ_INSERT_TAIL(&db->queue, call, link);
	db->queued++;
	db_dispatch(db);
	return true;
}

void
db_on_state(Db *db, void (*changed)(void *arg, bool connected), void *arg)
{
	db->changed = changed;
	db->changed_arg = arg;
}

int
db_connected(const Db *db)
{
	return db->connected;
}

int
db_queued(const Db *db)
{
	return db->queued;
}

const char *
db_sqlstate(const PGresult *res)
{
	const char *state = res != NULL ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;

	return state != NULL ? state : "";
}

/* One allocation for a call and copies of all its text. */
static Call *
call_new(const DbStatement *statements, int n)
{
	size_t size = sizeof(Call) + (size_t) n * sizeof(DbStatement);
	size_t text_bytes = 0;
	Call  *call;
	char  *text;

	for (int i = 0; i < n; i++)
	{
		if (statements[i].nparams < 0 || statements[i].nparams > DB_PARAMS_MAX)
			return NULL;
		text_bytes += strlen(statements[i].sql) + 1;
		for (int p = 0; p < statements[i].nparams; p++)
			text_bytes += statements[i].values[p] != NULL ? strlen(statements[i].values[p]) + 1 : 0;
	}
	call = calloc(1, size + text_bytes);
	if (call == NULL)
		return NULL;
	call->count = n;
	text = (char *) call + size;
	for (int i = 0; i < n; i++)
	{
		call->statements[i].nparams = statements[i].nparams;
		call->statements[i].sql = text;
		text = stpcpy(text, statements[i].sql) + 1;
		for (int p = 0; p < statements[i].nparams; p++)
		{
			if (statements[i].values[p] == NULL)
				continue;
			call->statements[i].values[p] = text;
			text = stpcpy(text, statements[i].values[p]) + 1;
		}
	}
	return call;
}

static void
call_answer(Db *db, Call *call, const PGresult *res, const char *errstr)
{
	char label[128];

	snprintf(label, sizeof(label), "%s,%s", db->application_name,
			 errstr == NULL	   ? "ok"
				 : res != NULL ? "error"
							   : "lost");
	metric_add(METRIC_DB_CALLS, label, 1);
	metric_observe(METRIC_DB_SECONDS, db->application_name, clock_seconds() - call->since_seconds);
	call->done(call->arg, res, errstr);
}

static void
call_free(Call *call)
{
	free(call);
}

static void
db_dispatch(Db *db)
{
	Session *session;
	Call	*call;

	while ((call = TAILQ_FIRST(&db->queue)) != NULL && (session = db_idle_session(db)) != NULL)
	{
		TAILQ_REMOVE(&db->queue, call, link);
		db->queued--;
		session_send(session, call);
	}
	db_arm_queue_timer(db);
	metric_set(METRIC_DB_QUEUED, db->application_name, db->queued);
}

static void
db_arm_queue_timer(Db *db)
{
	Call *head = TAILQ_FIRST(&db->queue);

	if (head == NULL)
		event_del(db->queue_timer);
	else if (!event_pending(db->queue_timer, EV_TIMEOUT, NULL))
		clock_wait(db->queue_timer, head->deadline_seconds - clock_seconds());
}

static void
db_queue_late(evutil_socket_t fd, short what, void *arg)
{
	Db	  *db = arg;
	double now_seconds = clock_seconds();
	Call  *call;

	(void) fd;
	(void) what;
	while ((call = TAILQ_FIRST(&db->queue)) != NULL && call->deadline_seconds <= now_seconds)
	{
		TAILQ_REMOVE(&db->queue, call, link);
		db->queued--;
		call_answer(db, call, NULL, "deadline passed while waiting for a session");
		call_free(call);
	}
	db_dispatch(db);
}

static Session *
db_idle_session(Db *db)
{
	for (int i = 0; i < db->session_count; i++)
		if (db->sessions[i].state == SESSION_IDLE)
			return &db->sessions[i];
	return NULL;
}

/* What the caller's conninfo says comes later in the list and wins. */
static void
session_open(Session *session)
{
	const char *const keywords[] = {"fallback_application_name",
									"keepalives",
									"keepalives_idle",
									"keepalives_interval",
									"keepalives_count",
									"tcp_user_timeout",
									"dbname",
									"client_encoding",
									NULL};
	const char *const values[] = {session->db->application_name, "1",	 "5", "2", "3", "5000",
								  session->db->conninfo,		 "UTF8", NULL};

	session->state = SESSION_OPENING;
	session->pg = PQconnectStartParams(keywords, values, 1);
	if (session->pg == NULL || PQstatus(session->pg) == CONNECTION_BAD)
	{
		session_lost(session, "could not connect");
		return;
	}
	PQsetNoticeProcessor(session->pg, ignore_notice, NULL);
	clock_wait(session->timer, CONNECT_TIMEOUT_SECONDS);
	session_wait(session, EV_WRITE);
}

/* libpq may change its socket at every step. */
static void
session_opening(Session *session)
{
	switch (PQconnectPoll(session->pg))
	{
		case PGRES_POLLING_READING:
			session_wait(session, EV_READ);
			break;
		case PGRES_POLLING_WRITING:
			session_wait(session, EV_WRITE);
			break;
		case PGRES_POLLING_OK:
			session_ready(session);
			break;
		default:
			session_lost(session, "could not connect");
	}
}

static void
session_ready(Session *session)
{
	Db *db = session->db;

	if (PQsetnonblocking(session->pg, 1) != 0 || PQenterPipelineMode(session->pg) != 1)
	{
		session_lost(session, "could not enter pipeline mode");
		return;
	}
	event_del(session->timer);
	session->state = SESSION_IDLE;
	session->delay_ms = RECONNECT_MIN_MS;
	session_wait(session, EV_READ);
	db->connected++;
	metric_set(METRIC_DB_CONNECTIONS, db->application_name, db->connected);
	log_event(LOG_INFO_LEVEL, "db_connected", NULL, "{s:s, s:i}", "pool", db->application_name,
			  "sessions", db->connected);
	if (db->changed != NULL)
		db->changed(db->changed_arg, true);
	db_dispatch(db);
}

/* The callbacks run last: they may make new calls. */
static void
session_lost(Session *session, const char *why)
{
	Db	 *db = session->db;
	Call *call = session->call;
	bool  was_connected = session->state == SESSION_IDLE || session->state == SESSION_BUSY;
	char  errstr[ERRSTR_BYTES];

	snprintf(errstr, sizeof(errstr), "%s", why);
	if (!db->closing)
		log_event(LOG_WARN_LEVEL, was_connected ? "db_connection_lost" : "db_connect_failed", NULL,
				  "{s:s, s:s, s:s#}", "pool", db->application_name, "why", errstr, "libpq",
				  session->pg != NULL ? PQerrorMessage(session->pg) : "",
				  (int) strcspn(session->pg != NULL ? PQerrorMessage(session->pg) : "", "\n"));
	session_close_handle(session);
	session->call = NULL;
	session->state = SESSION_DOWN;
	if (was_connected)
	{
		db->connected--;
		metric_set(METRIC_DB_CONNECTIONS, db->application_name, db->connected);
	}
	if (!db->closing)
	{
		clock_wait(session->timer,
				   (was_connected ? rand() % RECONNECT_MIN_MS
								  : session->delay_ms + rand() % session->delay_ms) /
					   1e3);
		session->delay_ms =
			session->delay_ms * 2 > RECONNECT_MAX_MS ? RECONNECT_MAX_MS : session->delay_ms * 2;
	}
	if (was_connected && db->changed != NULL)
		db->changed(db->changed_arg, false);
	if (call != NULL)
	{
		call_answer(db, call, NULL, errstr);
		call_free(call);
	}
}

/* For what goes wrong inside db_call(): its caller must not be answered before it returns. */
static void
session_break(Session *session, const char *why)
{
	session->broken = why;
	clock_wait(session->timer, 0);
}

static void
session_close_handle(Session *session)
{
	if (session->io != NULL)
		event_free(session->io);
	session->io = NULL;
	event_del(session->timer);
	PQclear(session->answer);
	session->answer = NULL;
	PQfinish(session->pg);
	session->pg = NULL;
}

static void
session_timer(evutil_socket_t fd, short what, void *arg)
{
	Session *session = arg;

	(void) fd;
	(void) what;
	if (session->state == SESSION_DOWN)
		session_open(session);
	else if (session->state == SESSION_OPENING)
		session_lost(session, "connecting took too long");
	else if (session->state == SESSION_BUSY && session->broken != NULL)
		session_lost(session, session->broken);
	else if (session->state == SESSION_BUSY)
		session_late(session);
}

static void
session_io(evutil_socket_t fd, short what, void *arg)
{
	Session *session = arg;

	(void) fd;
	if (session->state == SESSION_OPENING)
	{
		session_opening(session);
		return;
	}
	if ((what & EV_READ) != 0 && PQconsumeInput(session->pg) != 1)
	{
		session_lost(session, "connection lost");
		return;
	}
	if (session->state == SESSION_BUSY)
		session_flush(session);
	if (session->state == SESSION_BUSY)
		session_read(session);
	else if (session->state == SESSION_IDLE && PQisBusy(session->pg) == 0 &&
			 PQstatus(session->pg) == CONNECTION_BAD)
		session_lost(session, "connection lost");
}

static void
session_wait(Session *session, short what)
{
	if (session->io != NULL)
		event_free(session->io);
	session->io = event_new(session->db->base, PQsocket(session->pg), (short) (what | EV_PERSIST),
							session_io, session);
	if (session->io == NULL || event_add(session->io, NULL) != 0)
		log_event(LOG_ERROR_LEVEL, "db_event_failed", NULL, "{s:s}", "pool",
				  session->db->application_name);
}

static void
session_send(Session *session, Call *call)
{
	session->state = SESSION_BUSY;
	session->broken = NULL;
	session->call = call;
	session->results = 0;
	clock_wait(session->timer, call->deadline_seconds - clock_seconds());
	for (int i = 0; i < call->count; i++)
		if (PQsendQueryParams(session->pg, call->statements[i].sql, call->statements[i].nparams,
							  NULL, call->statements[i].values, NULL, NULL, 0) != 1)
		{
			session_break(session, "could not send");
			return;
		}
	if (PQpipelineSync(session->pg) != 1)
	{
		session_break(session, "could not send");
		return;
	}
	session_flush(session);
}

static void
session_flush(Session *session)
{
	int unsent = PQflush(session->pg);

	if (unsent < 0)
		session_break(session, "could not send");
	else if (unsent > 0)
		session_wait(session, EV_READ | EV_WRITE);
	else if ((event_get_events(session->io) & EV_WRITE) != 0)
		session_wait(session, EV_READ);
}

/* In pipeline mode each statement's results end with a NULL, and the whole with a PIPELINE_SYNC. */
static void
session_read(Session *session)
{
	int nulls = 0;

	while (session->state == SESSION_BUSY && !PQisBusy(session->pg))
	{
		PGresult *res = PQgetResult(session->pg);

		if (res == NULL && ++nulls > 1)
			break;
		if (res == NULL)
			continue;
		nulls = 0;
		if (PQresultStatus(res) == PGRES_PIPELINE_SYNC)
		{
			PQclear(res);
			session_finish(session);
			return;
		}
		session_take_result(session, res);
	}
	if (session->state == SESSION_BUSY && PQstatus(session->pg) == CONNECTION_BAD)
		session_lost(session, "connection lost");
}

/* Keeps the first error, else the last result. */
static void
session_take_result(Session *session, PGresult *res)
{
	Call		  *call = session->call;
	ExecStatusType status = PQresultStatus(res);
	int			   i = session->results++;

	if (status == PGRES_PIPELINE_ABORTED)
	{
		PQclear(res);
		return;
	}
	if (call->each != NULL && i < call->count)
		call->each(call->arg, i, res);
	if (session->answer != NULL && PQresultStatus(session->answer) == PGRES_FATAL_ERROR)
	{
		PQclear(res);
		return;
	}
	PQclear(session->answer);
	session->answer = res;
}

static void
session_finish(Session *session)
{
	Db		 *db = session->db;
	Call	 *call = session->call;
	PGresult *answer = session->answer;
	bool	  failed = answer == NULL || PQresultStatus(answer) == PGRES_FATAL_ERROR;

	event_del(session->timer);
	session->call = NULL;
	session->answer = NULL;
	session->state = SESSION_IDLE;
	call_answer(db, call, answer,
				failed ? (answer != NULL ? PQresultErrorMessage(answer) : "no result") : NULL);
	call_free(call);
	PQclear(answer);
	db_dispatch(db);
}

static void
session_late(Session *session)
{
	cancel_start(session->pg);
	session_lost(session, "deadline passed while the statement ran");
}

static void
cancel_start(PGconn *pg)
{
	PGcancel *cancel;
	pthread_t thread;

	if (atomic_fetch_add(&cancels_running, 1) >= CANCELS_MAX || (cancel = PQgetCancel(pg)) == NULL)
	{
		atomic_fetch_sub(&cancels_running, 1);
		return;
	}
	if (pthread_create(&thread, NULL, cancel_run, cancel) == 0)
		pthread_detach(thread);
	else
	{
		PQfreeCancel(cancel);
		atomic_fetch_sub(&cancels_running, 1);
	}
}

static void *
cancel_run(void *arg)
{
	char errbuf[ERRSTR_BYTES];

	PQcancel(arg, errbuf, sizeof(errbuf));
	PQfreeCancel(arg);
	atomic_fetch_sub(&cancels_running, 1);
	return NULL;
}

static void
ignore_notice(void *arg, const char *message)
{
	(void) arg;
	(void) message;
}
