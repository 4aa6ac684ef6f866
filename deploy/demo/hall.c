/* SPDX-License-Identifier: PostgreSQL */
/*
 * Writes the demo's hall as a venue file (section,row,seats,price) to stdout: a description of
 * its blocks, and a seed that decides where pillars stand and which row ends are kept for
 * wheelchairs. The same seed always writes the same file.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "random.h"

#define WIDTH_MAX 80
#define AISLE_COLUMNS 2 /* grid columns that an aisle takes */
#define PRICES_MAX 3

typedef struct Block
{
	const char *name;
	int			rows;
	int			first_width; /* columns of the first row; rows grow evenly up to the last */
	int			last_width;
	int			aisles;			   /* lengthwise, evenly spread */
	int			cross_aisle_after; /* row number that the next one skips one after; 0: none */
	int			desk_row;		   /* where the sound desk begins; 0: none */
	int			desk_rows;
	int			desk_columns;
	int			pillars;
	int			wheelchair_rows; /* rows whose end seats are taken out */
	int	 price_rows; /* rows of one price, front to back; at most PRICES_MAX times as many rows */
	long prices[PRICES_MAX];
} Block;

static const Block blocks[] = {
	{.name = "parterre",
	 .rows = 28,
	 .first_width = 36,
	 .last_width = 46,
	 .aisles = 2,
	 .cross_aisle_after = 14,
	 .desk_row = 23,
	 .desk_rows = 3,
	 .desk_columns = 8,
	 .pillars = 4,
	 .wheelchair_rows = 4,
	 .price_rows = 10,
	 .prices = {120000, 90000, 60000}},
	{.name = "box left",
	 .rows = 10,
	 .first_width = 6,
	 .last_width = 6,
	 .price_rows = 10,
	 .prices = {100000}},
	{.name = "box right",
	 .rows = 10,
	 .first_width = 6,
	 .last_width = 6,
	 .price_rows = 10,
	 .prices = {100000}},
	{.name = "first balcony",
	 .rows = 14,
	 .first_width = 48,
	 .last_width = 56,
	 .aisles = 3,
	 .cross_aisle_after = 6,
	 .pillars = 8,
	 .wheelchair_rows = 2,
	 .price_rows = 6,
	 .prices = {80000, 60000, 50000}},
	{.name = "second balcony",
	 .rows = 27,
	 .first_width = 50,
	 .last_width = 60,
	 .aisles = 3,
	 .cross_aisle_after = 8,
	 .pillars = 10,
	 .price_rows = 10,
	 .prices = {40000, 30000, 25000}},
};

typedef struct Row
{
	int	 width;
	bool seat[WIDTH_MAX];
} Row;

static uint64_t seed;

static void
furnish(const Block *block, Row *rows)
{
	for (int r = 0; r < block->rows; r++)
	{
		int width = block->first_width + (block->last_width - block->first_width) * r / block->rows;
		int margin = (block->last_width - width) / 2;

		rows[r].width = block->last_width;
		for (int c = 0; c < WIDTH_MAX; c++)
			rows[r].seat[c] = c >= margin && c < margin + width;
		for (int aisle = 1; aisle <= block->aisles; aisle++)
			for (int c = 0; c < AISLE_COLUMNS; c++)
				rows[r].seat[block->last_width * aisle / (block->aisles + 1) - 1 + c] = false;
	}
	for (int r = 0; r < block->desk_rows; r++)
		for (int c = 0; c < block->desk_columns; c++)
			rows[block->desk_row - 1 + r].seat[(block->last_width - block->desk_columns) / 2 + c] =
				false;
	for (int i = 0; i < block->pillars; i++)
		rows[random_below(&seed, block->rows)].seat[random_below(&seed, block->last_width)] = false;
	for (int i = 0; i < block->wheelchair_rows; i++)
	{
		Row *row = &rows[random_below(&seed, block->rows)];

		for (int c = 0; c < row->width; c++)
			if (c < row->width / 8 || c >= row->width - row->width / 8)
				row->seat[c] = false;
	}
}

static void
print_row(const Block *block, const Row *row, int r)
{
	int name = r + 1 + (block->cross_aisle_after > 0 && r >= block->cross_aisle_after ? 1 : 0);
	const char *separator = "";

	printf("%s,%d,\"", block->name, name);
	for (int c = 0; c < row->width; c++)
	{
		int last = c;

		if (!row->seat[c])
			continue;
		while (last + 1 < row->width && row->seat[last + 1])
			last++;
		printf(last > c ? "%s%d-%d" : "%s%d", separator, c + 1, last + 1);
		separator = ",";
		c = last;
	}
	printf("\",%ld\n", block->prices[r / block->price_rows]);
}

int
main(int argc, char **argv)
{
	char *end = NULL;

	errno = 0;
	seed = argc == 2 ? strtoull(argv[1], &end, 10) : 0;
	if (argc != 2 || errno != 0 || end == argv[1] || *end != '\0')
	{
		fprintf(stderr, "usage: %s SEED > hall.csv\n", argv[0]);
		return 2;
	}
	puts("section,row,seats,price");
	for (size_t b = 0; b < sizeof(blocks) / sizeof(blocks[0]); b++)
	{
		Row rows[WIDTH_MAX] = {0};

		furnish(&blocks[b], rows);
		for (int r = 0; r < blocks[b].rows; r++)
			print_row(&blocks[b], &rows[r], r);
	}
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
