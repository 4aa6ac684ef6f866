/* SPDX-License-Identifier: PostgreSQL */
/*
 * The embedded broker: librdkafka's mock cluster in this process, on a real TCP port that other
 * programs may use. It forgets everything at exit, and keeps about 5 MiB or 100,000 batches of a
 * partition: whoever counts its messages must read them from the start, while it runs.
 */
#ifndef CONCERTD_EMBEDDED_H
#define CONCERTD_EMBEDDED_H

typedef struct Embedded Embedded;

/*
 * Its topics exist, and kafka.embedded_address_file holds its address. NULL: the cause is logged.
 */
Embedded *embedded_open(void);
void	  embedded_close(Embedded *embedded);

/* host:port */
const char *embedded_bootstrap(const Embedded *embedded);

#endif
