/* SPDX-License-Identifier: PostgreSQL */
/*
 * The waiting room of a date: numbered places, presence, and the admitted people's sessions.
 *
 * A place is a signed number kept by the client. Redis keeps two counters (tail, serving),
 * presence bitmaps, an index from user to number (one place per user) and the admitted batches;
 * PostgreSQL keeps the leased numbers and one row per batch, from which a cold Redis is rebuilt,
 * so that no number is given twice and nobody is admitted above the cap (P7). Every check of a
 * place is its heartbeat, and its claim once it is admitted. Callbacks run from the event loop,
 * never from inside the call.
 */
#ifndef CONCERT_ROOM_H
#define CONCERT_ROOM_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>

#include "batch.h"
#include "date.h"
#include "db.h"
#include "redis.h"
#include "token.h"

typedef struct Room Room;

typedef struct RoomConfig
{
	int slot_seconds; /* of presence: who is silent for two is absent; not changed by room_configure() */
	int lease_places; /* numbers leased from the database at once */
} RoomConfig;

typedef enum RoomStatus
{
	ROOM_OK,
	ROOM_CLOSED, /* the sale of the date is over */
	ROOM_UNKNOWN_DATE,
	ROOM_UNAVAILABLE /* Redis or the database does not answer: try again */
} RoomStatus;

typedef enum RoomState
{
	ROOM_STATE_WAITING,
	ROOM_STATE_ADMITTED,
	ROOM_STATE_LOST,	/* absent when its turn came, not claimed in time, or its pass is over */
	ROOM_STATE_CLOSED,	/* the sale is over */
	ROOM_STATE_INVALID, /* no place of ours, or another user's */
	ROOM_STATE_UNAVAILABLE
} RoomState;

typedef struct RoomPlace
{
	bool		created; /* false: the user had this place already */
	const char *place;	 /* the signed token */
	int64_t		number;
	int64_t		position; /* people in front, this one included; 0 once admitted */
	RoomState	state;	  /* waiting or admitted */
	int			refresh_after_ms;
} RoomPlace;

typedef struct RoomCheck
{
	RoomState	state;
	const char *date_id; /* NULL when invalid */
	int64_t		number;
	int64_t		position;
	int			refresh_after_ms;
	const char *pass; /* only when admitted (NULL on a date that needs none) */
	int64_t		pass_expires_in_ms;
} RoomCheck;

/*
 * The structs and their strings belong to the caller of the callback. place is NULL unless
 * ROOM_OK.
 */
typedef void (*RoomJoined)(void *arg, RoomStatus status, const RoomPlace *place);
typedef void (*RoomChecked)(void *arg, const RoomCheck *check);

/* redis and db are closed first: they answer what is under way, and only then may the room go. */
Room *room_open(struct event_base *base, Redis *redis, Db *db, const TokenKeys *keys,
				const RoomConfig *config);
void  room_configure(Room *room, const RoomConfig *config);
void  room_close(Room *room);

/*
 * The user's place in the queue of the date; who joins twice gets the same one, who lost it a new
 * one at the end. On a date that requires no admission everybody is admitted at once, with the
 * number 0 and no pass.
 */
void room_join(Room *room, const char *date_id, const char *user_id, RoomJoined done, void *arg);

/* user_id may be NULL (not authenticated); if known it must be the place's own. */
void room_check(Room *room, const char *place_token, const char *user_id, RoomChecked done,
				void *arg);

/*
 * Gives up a place. A waiting or not yet claimed one is free at once. A claimed one stays counted
 * until its pass expires, because a pass cannot be called back: the cap counts whoever may still
 * reserve.
 */
void room_leave(Room *room, const char *date_id, const char *user_id);

/* For admission: the dates on sale, and the batches of this room. */
DateBook  *room_dates(Room *room);
BatchDesk *room_batches(Room *room);

#endif
