/* SPDX-License-Identifier: PostgreSQL */
/*
 * The state machine: at most one database call that matters under way, one timer, one producer.
 *   AWAY → (session) OPENING → IDLE → READING → SENDING → ACKING → READING …
 * From everywhere it falls back to AWAY (no session) or SHUT (session, lane not ours). Giving a
 * slice up closes its producer, so a delivery report always belongs to the slice under way.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "cloudevent.h"
#include "db.h"
#include "lane.h"
#include "log.h"
#include "metrics.h"
#include "options.h"
#include "sql.h"

#define LANE_RETRY_MS \
	1000 /* pause before a lane that another copy holds, or that failed, is asked for again */
#define LANE_PING_MS 1000 /* far below LANE_SILENT_MS */
#define LANE_STUCK_MS \
	2000 /* pause before a refused event is tried again: its cause may be mended, or it skipped */
#define LANE_DB_TIMEOUT_MS 10000
#define LANE_DB_QUEUE_MAX 8
#define LANE_APPLICATION "concertd-relay"
#define LANE_TROUBLE_BYTES 512
#define NUMBER_BYTES 21

/* Columns of sql_outbox_open() and sql_outbox_read(). */
enum
{
	OPEN_EPOCH = SQL_REST,
	OPEN_S1,
	OPEN_S2,
	OPEN_SEQ
};
enum
{
	READ_S1,
	READ_S2,
	READ_SEQ,
	READ_ID,
	READ_TOPIC,
	READ_KEY,
	READ_TYPE,
	READ_HEADERS,
	READ_PAYLOAD,
	READ_CREATED_AT
};

typedef enum LaneState
{
	LANE_AWAY, /* no session */
	LANE_SHUT, /* the timer asks for the lane */
	LANE_OPENING,
	LANE_IDLE, /* ours; the timer reads */
	LANE_READING,
	LANE_SENDING, /* waiting for delivery reports; the timer keeps the session from going silent */
	LANE_ACKING
} LaneState;

typedef struct SliceRow
{
	char id[CLOUDEVENT_ID_BYTES];
	char seq[NUMBER_BYTES];
	char correlation_id[CLOUDEVENT_CORRELATION_BYTES];
	bool delivered;
} SliceRow;

typedef struct Slice
{
	SliceRow *rows;
	int		  sent; /* handed to the producer */
	int		  reported;
	int		  good; /* delivered without a gap from the first on; set when all are reported */
	char	 *s1;
	char	 *s2;
	double	  began;
} Slice;

struct Lane
{
	Kafka		 *kafka;
	int			  number;
	char		  label[12]; /* the metrics' */
	LaneState	  state;
	Db			 *db;
	KafkaClient	 *producer;
	struct event *timer;
	void (*settled)(void *arg);
	void  *settled_arg;
	bool   draining;
	char   epoch[NUMBER_BYTES];
	char   seq[NUMBER_BYTES]; /* with s1, s2 the position, as the database prints it */
	char  *s1;
	char  *s2;
	Slice  slice;
	int	   rows_max; /* of the slice that was asked for */
	int	   careful;	 /* this many events go one by one, because one of them was refused */
	int	   poll_ms;
	double caught_up_at;
	char   trouble[LANE_TROUBLE_BYTES]; /* why it stands still; "" when it does not */
	char   refusal[LANE_TROUBLE_BYTES]; /* why Kafka refused a message of this slice */
};

static void				   lane_session(void *arg, bool connected);
static void				   lane_timer(evutil_socket_t fd, short what, void *arg);
static void				   lane_take(Lane *lane);
static void				   lane_taken(void *arg, const PGresult *res, const char *errstr);
static void				   lane_read(Lane *lane);
static void				   lane_got(void *arg, const PGresult *res, const char *errstr);
static void				   lane_send(Lane *lane, const PGresult *res);
static rd_kafka_resp_err_t lane_send_row(Lane *lane, const PGresult *res, int i);
static bool				   lane_producer(Lane *lane);
static void lane_delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *arg);
static void lane_polled(void *arg);
static void lane_reported(Lane *lane);
static void lane_ack(Lane *lane);
static void lane_acked(void *arg, const PGresult *res, const char *errstr);
static void lane_refused(Lane *lane, int row_count);
static void lane_pinged(void *arg, const PGresult *res, const char *errstr);
static void lane_caught_up(Lane *lane);
static bool lane_answered(Lane *lane, LaneState expected, const PGresult *res, const char *errstr);
static void lane_leave(Lane *lane, LaneState state);
static void lane_rest(Lane *lane, LaneState state, int wait_ms);
static void lane_wait(Lane *lane, int wait_ms);
static void lane_trouble(Lane *lane, const char *kind, const char *correlation_id, const char *why);
static void lane_well(Lane *lane);
static bool lane_move(Lane *lane, const char *s1, const char *s2, const char *seq);
static void slice_forget(Slice *slice);

Lane *
lane_open(struct event_base *base, Kafka *kafka, const char *conninfo, int number,
		  void (*settled)(void *arg), void *arg)
{
	Lane *lane = calloc(1, sizeof(Lane));

	if (lane == NULL)
		return NULL;
	lane->kafka = kafka;
	lane->number = number;
	lane->settled = settled;
	lane->settled_arg = arg;
	lane->caught_up_at = clock_seconds();
	snprintf(lane->label, sizeof(lane->label), "%d", number);
	lane->timer = evtimer_new(base, lane_timer, lane);
	lane->db = db_open(base, conninfo, 1, LANE_DB_QUEUE_MAX, LANE_DB_TIMEOUT_MS, LANE_APPLICATION);
	if (lane->timer == NULL || lane->db == NULL)
	{
		lane_close(lane);
		return NULL;
	}
	db_on_state(lane->db, lane_session, lane);
	return lane;
}

void
lane_drain(Lane *lane)
{
	lane->draining = true;
}

bool
lane_settled(const Lane *lane)
{
	return lane->state < LANE_READING;
}

void
lane_close(Lane *lane)
{
	if (lane == NULL)
		return;
	lane->draining = true;
	lane->settled = NULL;
	if (lane->db != NULL)
		db_close(lane->db);
	kafka_client_close(lane->producer);
	slice_forget(&lane->slice);
	if (lane->timer != NULL)
		event_free(lane->timer);
	free(lane->s1);
	free(lane->s2);
	free(lane);
}

bool
lane_ready(const Lane *lane, char *detail, size_t size)
{
	double behind = clock_seconds() - lane->caught_up_at;

	if (lane->trouble[0] != '\0')
	{
		snprintf(detail, size, "lane %d: %s", lane->number, lane->trouble);
		return false;
	}
	if (behind > options_current()->relay_lag_seconds_max)
	{
		snprintf(detail, size, "lane %d has not caught up for %.0f s", lane->number, behind);
		return false;
	}
	return true;
}

static void
lane_session(void *arg, bool connected)
{
	Lane *lane = arg;

	if (connected && lane->state < LANE_OPENING)
		lane_take(lane);
	else if (!connected && lane->state != LANE_AWAY)
	{
		metric_add(METRIC_RELAY_ERRORS, "session", 1);
		lane_leave(lane, LANE_AWAY);
	}
}

static void
lane_timer(evutil_socket_t fd, short what, void *arg)
{
	Lane *lane = arg;

	(void) fd;
	(void) what;
	switch (lane->state)
	{
		case LANE_SHUT:
			lane_take(lane);
			break;
		case LANE_IDLE:
			lane_read(lane);
			break;
		case LANE_SENDING:
			if (sql_ping(lane->db, lane_pinged, lane))
				lane_wait(lane, LANE_PING_MS);
			else
				lane_leave(lane, LANE_SHUT);
			break;
		default:
			break;
	}
}

static void
lane_take(Lane *lane)
{
	if (lane->draining)
		return;
	lane->state = LANE_OPENING;
	if (!sql_outbox_open(lane->db, lane->number, lane_taken, lane))
		lane_leave(lane, LANE_SHUT);
}

static void
lane_taken(void *arg, const PGresult *res, const char *errstr)
{
	Lane *lane = arg;

	if (!lane_answered(lane, LANE_OPENING, res, errstr))
		return;
	if (strcmp(PQgetvalue(res, 0, SQL_OK), "t") != 0)
	{
		/* Another copy has it and answers for it. */
		lane_caught_up(lane);
		lane_well(lane);
		lane_leave(lane, LANE_SHUT);
		return;
	}
	snprintf(lane->epoch, sizeof(lane->epoch), "%s", PQgetvalue(res, 0, OPEN_EPOCH));
	if (!lane_move(lane, PQgetvalue(res, 0, OPEN_S1), PQgetvalue(res, 0, OPEN_S2),
				   PQgetvalue(res, 0, OPEN_SEQ)))
	{
		lane_leave(lane, LANE_SHUT);
		return;
	}
	log_event(LOG_INFO_LEVEL, "lane_taken", NULL, "{s:i, s:s}", "lane", lane->number, "epoch",
			  lane->epoch);
	lane_read(lane);
}

static void
lane_read(Lane *lane)
{
	if (lane->draining)
	{
		lane_rest(lane, LANE_IDLE, LANE_PING_MS);
		return;
	}
	lane->state = LANE_READING;
	lane->slice.began = clock_seconds();
	lane->rows_max = lane->careful > 0 ? 1 : options_current()->relay_slice_rows;
	if (!sql_outbox_read(lane->db, lane->number, lane->s1, lane->s2, lane->seq, lane->rows_max,
						 lane_got, lane))
		lane_leave(lane, LANE_SHUT);
}

static void
lane_got(void *arg, const PGresult *res, const char *errstr)
{
	Lane		  *lane = arg;
	const Options *options = options_current();

	if (!lane_answered(lane, LANE_READING, res, errstr))
		return;
	if (PQntuples(res) < lane->rows_max)
		lane_caught_up(lane);
	if (PQntuples(res) > 0 && !lane->draining)
	{
		lane_send(lane, res);
		return;
	}
	lane->careful = 0;
	lane_well(lane);
	lane->poll_ms = lane->poll_ms == 0 ? options->relay_poll_min_ms : lane->poll_ms * 2;
	if (lane->poll_ms > options->relay_poll_max_ms)
		lane->poll_ms = options->relay_poll_max_ms;
	lane_rest(lane, LANE_IDLE, lane->poll_ms);
}

/*
 * What the producer does not take at once (its buffer is full, say) is left for the next slice; if
 * it takes not even the first, that one is refused.
 */
static void
lane_send(Lane *lane, const PGresult *res)
{
	Slice			   *slice = &lane->slice;
	int					count = PQntuples(res);
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;

	lane->state = LANE_SENDING;
	lane->poll_ms = 0;
	lane->refusal[0] = '\0';
	slice->rows = calloc(count, sizeof(SliceRow));
	slice->s1 = strdup(PQgetvalue(res, 0, READ_S1));
	slice->s2 = strdup(PQgetvalue(res, 0, READ_S2));
	slice->sent = 0;
	slice->reported = 0;
	if (slice->rows == NULL || slice->s1 == NULL || slice->s2 == NULL || !lane_producer(lane))
	{
		lane_trouble(lane, "producer", NULL, "a producer could not be opened");
		lane_leave(lane, LANE_SHUT);
		return;
	}
	while (slice->sent < count && err == RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		err = lane_send_row(lane, res, slice->sent);
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
			slice->sent++;
	}
	if (slice->sent > 0)
		lane_wait(lane, LANE_PING_MS);
	else
	{
		snprintf(lane->refusal, sizeof(lane->refusal), "%s", rd_kafka_err2str(err));
		lane_refused(lane, 1);
	}
}

static rd_kafka_resp_err_t
lane_send_row(Lane *lane, const PGresult *res, int i)
{
	SliceRow		   *row = &lane->slice.rows[i];
	rd_kafka_headers_t *headers;
	rd_kafka_resp_err_t err;

	snprintf(row->id, sizeof(row->id), "%s", PQgetvalue(res, i, READ_ID));
	snprintf(row->seq, sizeof(row->seq), "%s", PQgetvalue(res, i, READ_SEQ));
	headers =
		cloudevent_headers(row->id, PQgetvalue(res, i, READ_TYPE),
						   PQgetvalue(res, i, READ_CREATED_AT), PQgetvalue(res, i, READ_HEADERS));
	if (headers == NULL)
		return RD_KAFKA_RESP_ERR__QUEUE_FULL;
	cloudevent_correlation(headers, row->correlation_id, sizeof(row->correlation_id));
	err = rd_kafka_producev(
		kafka_handle(lane->producer), RD_KAFKA_V_TOPIC(PQgetvalue(res, i, READ_TOPIC)),
		RD_KAFKA_V_KEY(PQgetvalue(res, i, READ_KEY), PQgetlength(res, i, READ_KEY)),
		RD_KAFKA_V_VALUE(PQgetvalue(res, i, READ_PAYLOAD), PQgetlength(res, i, READ_PAYLOAD)),
		RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
		RD_KAFKA_V_OPAQUE(row), RD_KAFKA_V_END);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		rd_kafka_headers_destroy(headers);
	return err;
}

/* One that broke while nothing was under way is replaced, as no event is to blame. */
static bool
lane_producer(Lane *lane)
{
	char errstr[LANE_TROUBLE_BYTES];

	if (lane->producer != NULL && kafka_fatal(lane->producer, errstr, sizeof(errstr)))
	{
		kafka_client_close(lane->producer);
		lane->producer = NULL;
	}
	if (lane->producer == NULL)
		lane->producer = kafka_ordered_producer(lane->kafka, lane_delivered, lane_polled, lane);
	return lane->producer != NULL;
}

/* Runs inside kafka_poll(): the producer may not be closed here. */
static void
lane_delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *arg)
{
	Lane	 *lane = arg;
	SliceRow *row = message->_private;

	(void) rk;
	lane->slice.reported++;
	row->delivered = message->err == RD_KAFKA_RESP_ERR_NO_ERROR;
	if (row->delivered)
		log_event(LOG_DEBUG_LEVEL, "event_relayed", row->correlation_id, "{s:s, s:i}", "id",
				  row->id, "lane", lane->number);
	else if (lane->refusal[0] == '\0')
		snprintf(lane->refusal, sizeof(lane->refusal), "%s", rd_kafka_err2str(message->err));
}

static void
lane_polled(void *arg)
{
	Lane *lane = arg;

	kafka_poll(lane->producer);
	if (lane->state == LANE_SENDING && lane->slice.reported == lane->slice.sent)
		lane_reported(lane);
}

static void
lane_reported(Lane *lane)
{
	Slice *slice = &lane->slice;

	for (slice->good = 0; slice->good < slice->sent && slice->rows[slice->good].delivered;
		 slice->good++)
		;
	if (slice->good > 0)
		lane_ack(lane);
	else
		lane_refused(lane, slice->sent);
}

static void
lane_ack(Lane *lane)
{
	Slice *slice = &lane->slice;

	lane->state = LANE_ACKING;
	event_del(lane->timer);
	if (!sql_outbox_ack(lane->db, lane->number, lane->epoch, slice->s1, slice->s2,
						slice->rows[slice->good - 1].seq, lane_acked, lane))
		lane_leave(lane, LANE_SHUT);
}

static void
lane_acked(void *arg, const PGresult *res, const char *errstr)
{
	Lane  *lane = arg;
	Slice *slice = &lane->slice;

	if (!lane_answered(lane, LANE_ACKING, res, errstr))
		return;
	if (strcmp(PQgetvalue(res, 0, SQL_OK), "t") != 0)
	{
		/* A newer epoch has the lane: what we sent, it sends again. */
		metric_add(METRIC_RELAY_ERRORS, "fenced", 1);
		log_event(LOG_WARN_LEVEL, "lane_fenced", NULL, "{s:i, s:s, s:s}", "lane", lane->number,
				  "epoch", lane->epoch, "reason", PQgetvalue(res, 0, SQL_REASON));
		lane_leave(lane, LANE_SHUT);
		return;
	}
	metric_add(METRIC_RELAY_EVENTS, lane->label, slice->good);
	metric_add(METRIC_RELAY_SLICES, lane->label, 1);
	metric_observe(METRIC_RELAY_SECONDS, NULL, clock_seconds() - slice->began);
	lane->careful = lane->careful > slice->good ? lane->careful - slice->good : 0;
	if (!lane_move(lane, slice->s1, slice->s2, slice->rows[slice->good - 1].seq))
		lane_leave(lane, LANE_SHUT);
	else if (slice->good < slice->sent)
		lane_refused(lane, slice->sent - slice->good);
	else
	{
		lane_well(lane);
		slice_forget(slice);
		lane_rest(lane, LANE_IDLE, 0);
	}
}

/*
 * The first row after the good ones was refused, but a batch is refused as a whole: of several
 * events each is tried by itself, and the one that is refused alone is to blame. Before that one is
 * tried again the lane is opened anew: an operator may have had it skipped, which only the
 * database's cursor tells.
 */
static void
lane_refused(Lane *lane, int row_count)
{
	const SliceRow *row = &lane->slice.rows[lane->slice.good];
	char			why[LANE_TROUBLE_BYTES];

	metric_add(METRIC_RELAY_ERRORS, "refused", 1);
	if (row_count > 1)
	{
		log_event(LOG_WARN_LEVEL, "slice_refused", NULL, "{s:i, s:i, s:s}", "lane", lane->number,
				  "events", row_count, "why", lane->refusal);
		lane->careful = row_count;
	}
	else
	{
		snprintf(why, sizeof(why), "event %s is refused: %.300s", row->id, lane->refusal);
		lane_trouble(lane, "stuck", row->correlation_id, why);
		if (lane->careful == 0)
			lane->careful = 1;
	}
	kafka_client_close(lane->producer);
	lane->producer = NULL;
	slice_forget(&lane->slice);
	if (row_count > 1)
		lane_rest(lane, LANE_IDLE, 0);
	else
		lane_rest(lane, LANE_SHUT, LANE_STUCK_MS);
}

/* A session that is lost is heard of in lane_session(). */
static void
lane_pinged(void *arg, const PGresult *res, const char *errstr)
{
	(void) arg;
	(void) res;
	(void) errstr;
}

static void
lane_caught_up(Lane *lane)
{
	lane->caught_up_at = clock_seconds();
}

/* false: the answer is late, or no result; what has to be done is done. */
static bool
lane_answered(Lane *lane, LaneState expected, const PGresult *res, const char *errstr)
{
	if (lane->state != expected)
		return false;
	if (res != NULL && errstr == NULL && PQresultStatus(res) == PGRES_TUPLES_OK &&
		(expected == LANE_READING || PQntuples(res) == 1))
		return true;
	if (res != NULL)
		lane_trouble(lane, "database", NULL, errstr == NULL ? "an answer without its row" : errstr);
	lane_leave(lane, LANE_SHUT);
	return false;
}

/* Gives up the slice under way and its producer, with what is still in it. */
static void
lane_leave(Lane *lane, LaneState state)
{
	kafka_client_close(lane->producer);
	lane->producer = NULL;
	slice_forget(&lane->slice);
	lane->careful = 0;
	lane_rest(lane, state, LANE_RETRY_MS);
}

static void
lane_rest(Lane *lane, LaneState state, int wait_ms)
{
	lane->state = state;
	if (state == LANE_AWAY)
		event_del(lane->timer);
	else
		lane_wait(lane, wait_ms);
	if (lane->draining && lane->settled != NULL)
		lane->settled(lane->settled_arg);
}

static void
lane_wait(Lane *lane, int wait_ms)
{
	clock_wait(lane->timer, wait_ms / 1000.0);
}

/* Logged when it begins, not with every attempt. */
static void
lane_trouble(Lane *lane, const char *kind, const char *correlation_id, const char *why)
{
	metric_add(METRIC_RELAY_ERRORS, kind, 1);
	if (strcmp(lane->trouble, why) == 0)
		return;
	snprintf(lane->trouble, sizeof(lane->trouble), "%s", why);
	log_event(LOG_ERROR_LEVEL, "lane_stopped", correlation_id, "{s:i, s:s}", "lane", lane->number,
			  "why", why);
}

static void
lane_well(Lane *lane)
{
	if (lane->trouble[0] == '\0')
		return;
	lane->trouble[0] = '\0';
	log_event(LOG_INFO_LEVEL, "lane_goes_on", NULL, "{s:i}", "lane", lane->number);
}

static bool
lane_move(Lane *lane, const char *s1, const char *s2, const char *seq)
{
	char *new_s1 = strdup(s1);
	char *new_s2 = strdup(s2);

	if (new_s1 == NULL || new_s2 == NULL)
	{
		free(new_s1);
		free(new_s2);
		return false;
	}
	free(lane->s1);
	free(lane->s2);
	lane->s1 = new_s1;
	lane->s2 = new_s2;
	snprintf(lane->seq, sizeof(lane->seq), "%s", seq);
	return true;
}

static void
slice_forget(Slice *slice)
{
	free(slice->rows);
	free(slice->s1);
	free(slice->s2);
	memset(slice, 0, sizeof(*slice));
}
