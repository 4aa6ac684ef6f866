module concert/linear

go 1.19

require (
	github.com/anishathalye/porcupine v1.3.1
	github.com/lib/pq v1.10.9
)
