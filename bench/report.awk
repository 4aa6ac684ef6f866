# SPDX-License-Identifier: PostgreSQL
#
# Compares contestants of a benchmark. The first file has lines "name|ours|rival|better|target", the second lines
# "round contestant value". A ratio is ours / rival of one round; the median of all rounds is what counts, low and high are
# the extremes. Prints a table, and writes the file named by the variable json.

BEGIN {
	FS = "|"
	printf "%-44s %10s %10s %7s %15s %8s\n", "", "ours", "rival", "ratio", "low - high", "target" > "/dev/stdout"
	printf "[" > json
}

FNR == NR {
	count++
	name[count] = $1; ours[count] = $2; rival[count] = $3; better[count] = $4; target[count] = $5
	next
}

FNR == 1 {
	FS = " "
	$0 = $0
}

{
	value[$1, $2] = $3
	if ($1 > rounds)
		rounds = $1
}

END {
	for (i = 1; i <= count; i++)
		compare(i)
	printf "\n]\n" > json
}

function compare(i,    round, mine, theirs, ratios, middle)
{
	for (round = 1; round <= rounds; round++) {
		mine[round] = value[round, ours[i]]
		theirs[round] = value[round, rival[i]]
		ratios[round] = mine[round] / theirs[round]
	}
	middle = median(ratios)
	printf "%-44s %10.0f %10.0f %7.2f %6.2f - %6.2f %8s %s\n", name[i], median(mine), median(theirs), middle,
		ratios[1], ratios[rounds], (better[i] == "higher" ? ">=" : "<=") " " target[i], met(i, middle) ? "met" : "missed"
	printf "%s\n  {\"name\": \"%s\", \"ours\": %.1f, \"rival\": %.1f, \"ratio\": %.3f, \"low\": %.3f, \"high\": %.3f, " \
		"\"target\": %s, \"better\": \"%s\"}", (i > 1 ? "," : ""), name[i], median(mine), median(theirs), middle,
		ratios[1], ratios[rounds], target[i], better[i] > json
}

function met(i, ratio)
{
	return better[i] == "higher" ? ratio >= target[i] : ratio <= target[i]
}

# Sorts the values of all rounds, too.
function median(values,    i, j, one)
{
	for (i = 2; i <= rounds; i++) {
		one = values[i]
		for (j = i - 1; j >= 1 && values[j] > one; j--)
			values[j + 1] = values[j]
		values[j + 1] = one
	}
	return rounds % 2 ? values[(rounds + 1) / 2] : (values[rounds / 2] + values[rounds / 2 + 1]) / 2
}
