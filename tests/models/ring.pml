/*
 * The trace ring: a hart writes records over old ones while another copies them. trace_put, trace_get (mm/trace.c). Describes the commit
 * that brought this file.
 *
 *   writer    record n in slot n % RECORDS, two words, behind a fence that has the count before out first; then the count, n + 1, behind
 *             the words (its release)
 *   reader    a count; the words of a record that it covers, in either order; the count again
 *   hardware  lets stores through that linger: they may pass each other
 *
 * Must hold: what the reader believes is whole, and the record that it asked for. NO_x leaves guard x out; then it must fail.
 */
#define RECORDS 2
#define WRITES	5
#define READS	3
#define NOTHING 99

byte count;
byte count_buffer = NOTHING;
byte first[RECORDS];
byte first_buffer[RECORDS] = { NOTHING, NOTHING };
byte second[RECORDS];
byte second_buffer[RECORDS] = { NOTHING, NOTHING };

proctype writer()
{
	byte n, slot;

	do
	:: n < WRITES ->
		slot = n % RECORDS;
#ifndef NO_FENCE_BEFORE_RECORD
		count_buffer == NOTHING;
#endif
		/* One store a word lingers at a time, and one of the count: coherence. */
		first_buffer[slot] == NOTHING;
		first_buffer[slot] = n;
		second_buffer[slot] == NOTHING;
		second_buffer[slot] = n;
#ifndef NO_RELEASE_OF_COUNT
		first_buffer[slot] == NOTHING;
		second_buffer[slot] == NOTHING;
#endif
		count_buffer == NOTHING;
		n++;
		count_buffer = n
	:: else -> break
	od
}

inline copy(n)
{
	if
	:: a = first[n % RECORDS]; b = second[n % RECORDS]
	:: b = second[n % RECORDS]; a = first[n % RECORDS]
	fi
}

proctype reader()
{
	byte reads, n, seen, again, a, b;

	do
	:: reads < READS ->
		reads++;
#ifndef NO_ACQUIRE_OF_COUNT
		seen = count;
		select (n : 0 .. WRITES - 1);
#ifdef NO_FENCE_BEFORE_SECOND_LOOK
		again = count;
		copy(n);
#else
		copy(n);
		again = count;
#endif
#else
		select (n : 0 .. WRITES - 1);
		copy(n);
		seen = count;
		again = seen;
#endif
		if
#ifndef NO_SECOND_LOOK
		:: n < seen && again < n + RECORDS -> assert(a == n && b == n)
#else
		:: n < seen -> assert(a == n && b == n)
#endif
		:: else
		fi
	:: else -> break
	od
}

proctype hardware()
{
	byte i;
end:
	do
	:: atomic { count_buffer != NOTHING -> count = count_buffer; count_buffer = NOTHING }
	:: atomic { first_buffer[0] != NOTHING -> first[0] = first_buffer[0]; first_buffer[0] = NOTHING }
	:: atomic { first_buffer[1] != NOTHING -> first[1] = first_buffer[1]; first_buffer[1] = NOTHING }
	:: atomic { second_buffer[0] != NOTHING -> second[0] = second_buffer[0]; second_buffer[0] = NOTHING }
	:: atomic { second_buffer[1] != NOTHING -> second[1] = second_buffer[1]; second_buffer[1] = NOTHING }
	od
}

init
{
	atomic {
		run writer();
		run reader();
		run hardware()
	}
}
