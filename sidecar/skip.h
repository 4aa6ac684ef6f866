/* SPDX-License-Identifier: PostgreSQL */
/*
 * `concertd outbox skip EVENT`: an operator's order to pass over the event at which a lane of the
 * outbox stands still, because Kafka refuses it for good. The database records it; the lane goes on
 * with its next event.
 */
#ifndef CONCERTD_SKIP_H
#define CONCERTD_SKIP_H

/*
 * The arguments after "outbox skip". Returns the exit status: 0 done, 1 refused or failed, 2
 * misuse.
 */
int skip_main(int argc, char **argv);

#endif
