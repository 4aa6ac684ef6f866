/* SPDX-License-Identifier: PostgreSQL */
/*
 * `concertd import-venue`: makes a concert date out of a venue file (venue.h), in one
 * transaction: all of it or nothing. It talks to the database with blocking calls of its own,
 * outside the daemon's loop, as a member of concert_admin. argv[0] is the command's own name.
 * Returns the exit status: 0 done (one line of JSON on stdout), 1 refused (the reason on
 * stderr), 2 misuse.
 */
#ifndef CONCERTD_IMPORT_H
#define CONCERTD_IMPORT_H

int import_main(int argc, char **argv);

#endif
