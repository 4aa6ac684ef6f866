/* SPDX-License-Identifier: PostgreSQL */
/*
 * The registry: for each metric an array of series, at most METRIC_SERIES_MAX and one more for all
 * other label values. Lookup is linear from the last hit, which the daemon's short, closed label
 * lists make cheap.
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics.h"

#define LABEL_BYTES_MAX 127
#define OTHER_LABEL "other"

typedef enum MetricKind
{
	COUNTER,
	GAUGE,
	HISTOGRAM
} MetricKind;

typedef struct MetricRow
{
	const char *name;
	MetricKind	kind;
	const char *help;
	const char *labels;
} MetricRow;

static const MetricRow rows[METRIC_COUNT] = {
#define METRIC_ROW(id, name, kind, help, label) {name, kind, help, label},
	METRICS(METRIC_ROW)
#undef METRIC_ROW
};

static const char *const kind_names[] = {"counter", "gauge", "histogram"};

static const double bucket_seconds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
										0.1,	0.25,  0.5,	   1,	  2.5,	5,	   10};

#define BUCKET_COUNT ((int) (sizeof(bucket_seconds) / sizeof(bucket_seconds[0])))

typedef struct Series
{
	char			   *label; /* NULL when the metric has none */
	double				value; /* of a histogram: the sum */
	unsigned long long	count;
	unsigned long long *buckets; /* not cumulative; only of a histogram */
} Series;

typedef struct Metric
{
	Series *series;
	int		count;
	int		allocated;
	int		last_hit;
} Metric;

static Metric metrics[METRIC_COUNT];

static Series *metric_series(MetricId id, const char *label_value);
static Series *metric_find(Metric *metric, const char *label_value);
static Series *metric_new_series(MetricId id, const char *label_value);
static void	   metric_print(FILE *out, const MetricRow *row, const Metric *metric);
static void	   metric_print_histogram(FILE *out, const MetricRow *row, const Series *series);
static void	   metric_print_labels(FILE *out, const MetricRow *row, const Series *series,
								   const char *le);
static void	   metric_print_label(FILE *out, const char *name, size_t name_len, const char *value,
								  size_t value_len);

void
metric_add(MetricId id, const char *label_value, double value)
{
	Series *series = metric_series(id, label_value);

	if (series != NULL)
		series->value += value;
}

void
metric_set(MetricId id, const char *label_value, double value)
{
	Series *series = metric_series(id, label_value);

	if (series != NULL)
		series->value = value;
}

void
metric_observe(MetricId id, const char *label_value, double seconds)
{
	Series *series = metric_series(id, label_value);
	int		i = 0;

	if (series == NULL || series->buckets == NULL)
		return;
	while (i < BUCKET_COUNT && seconds > bucket_seconds[i])
		i++;
	series->buckets[i]++;
	series->count++;
	series->value += seconds;
}

char *
metrics_text(size_t *ret_len)
{
	char  *text = NULL;
	size_t len = 0;
	FILE  *out = open_memstream(&text, &len);

	if (out == NULL)
		return NULL;
	for (int i = 0; i < METRIC_COUNT; i++)
		metric_print(out, &rows[i], &metrics[i]);
	if (fclose(out) != 0)
	{
		free(text);
		return NULL;
	}
	*ret_len = len;
	return text;
}

static Series *
metric_series(MetricId id, const char *label_value)
{
	Metric *metric = &metrics[id];
	Series *series;

	if (rows[id].labels == NULL)
		label_value = NULL;
	else if (label_value == NULL || strlen(label_value) > LABEL_BYTES_MAX)
		label_value = OTHER_LABEL;
	series = metric_find(metric, label_value);
	if (series == NULL && metric->count >= METRIC_SERIES_MAX)
	{
		label_value = OTHER_LABEL;
		series = metric_find(metric, label_value);
	}
	return series != NULL ? series : metric_new_series(id, label_value);
}

static Series *
metric_find(Metric *metric, const char *label_value)
{
	for (int n = 0; n < metric->count; n++)
	{
		int			i = (metric->last_hit + n) % metric->count;
		const char *label = metric->series[i].label;

		if (label_value == NULL || strcmp(label, label_value) == 0)
		{
			metric->last_hit = i;
			return &metric->series[i];
		}
	}
	return NULL;
}

static Series *
metric_new_series(MetricId id, const char *label_value)
{
	Metric *metric = &metrics[id];
	Series	series = {0};

	if (metric->count == metric->allocated)
	{
		int		allocated = metric->allocated == 0 ? 4 : metric->allocated * 2;
		Series *grown = realloc(metric->series, (size_t) allocated * sizeof(Series));

		if (grown == NULL)
			return NULL;
		metric->series = grown;
		metric->allocated = allocated;
	}
	if (label_value != NULL)
		series.label = strdup(label_value);
	if (rows[id].kind == HISTOGRAM)
		series.buckets = calloc(BUCKET_COUNT + 1, sizeof(*series.buckets));
	if ((label_value != NULL && series.label == NULL) ||
		(rows[id].kind == HISTOGRAM && series.buckets == NULL))
	{
		free(series.label);
		free(series.buckets);
		return NULL;
	}
	metric->series[metric->count] = series;
	return &metric->series[metric->count++];
}

/*
 * A metric without labels is printed before its first event too: an absent counter cannot be
 * alerted on.
 */
static void
metric_print(FILE *out, const MetricRow *row, const Metric *metric)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name,
			kind_names[row->kind]);
	if (metric->count == 0 && row->labels == NULL && row->kind != HISTOGRAM)
		fprintf(out, "%s 0\n", row->name);
	for (int i = 0; i < metric->count; i++)
	{
		if (row->kind == HISTOGRAM)
		{
			metric_print_histogram(out, row, &metric->series[i]);
			continue;
		}
		fputs(row->name, out);
		metric_print_labels(out, row, &metric->series[i], NULL);
		fprintf(out, " %.15g\n", metric->series[i].value);
	}
}

static void
metric_print_histogram(FILE *out, const MetricRow *row, const Series *series)
{
	unsigned long long below = 0;

	for (int i = 0; i <= BUCKET_COUNT; i++)
	{
		char le[32] = "+Inf";

		if (i < BUCKET_COUNT)
			snprintf(le, sizeof(le), "%g", bucket_seconds[i]);
		below += series->buckets[i];
		fprintf(out, "%s_bucket", row->name);
		metric_print_labels(out, row, series, le);
		fprintf(out, " %llu\n", below);
	}
	fprintf(out, "%s_sum", row->name);
	metric_print_labels(out, row, series, NULL);
	fprintf(out, " %.9g\n%s_count", series->value, row->name);
	metric_print_labels(out, row, series, NULL);
	fprintf(out, " %llu\n", series->count);
}

/* Two label names take their values from both sides of the value's last comma. */
static void
metric_print_labels(FILE *out, const MetricRow *row, const Series *series, const char *le)
{
	const char *second_name = row->labels != NULL ? strchr(row->labels, ',') : NULL;
	const char *second_value = second_name != NULL ? strrchr(series->label, ',') : NULL;

	if (row->labels == NULL && le == NULL)
		return;
	fputc('{', out);
	if (row->labels != NULL)
		metric_print_label(out, row->labels, strcspn(row->labels, ","), series->label,
						   second_value != NULL ? (size_t) (second_value - series->label)
												: strlen(series->label));
	if (second_value != NULL)
	{
		fputc(',', out);
		metric_print_label(out, second_name + 1, strlen(second_name + 1), second_value + 1,
						   strlen(second_value + 1));
	}
	if (le != NULL)
		fprintf(out, "%sle=\"%s\"", row->labels != NULL ? "," : "", le);
	fputc('}', out);
}

static void
metric_print_label(FILE *out, const char *name, size_t name_len, const char *value,
				   size_t value_len)
{
	fprintf(out, "%.*s=\"", (int) name_len, name);
	for (size_t i = 0; i < value_len; i++)
	{
		if (value[i] == '"' || value[i] == '\\')
			fputc('\\', out);
		fputc(value[i] == '\n' ? ' ' : value[i], out);
	}
	fputc('"', out);
}
