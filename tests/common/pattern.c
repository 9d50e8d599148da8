// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The pattern; see pattern.h for the story.
 */
#include <inttypes.h>
#include <string.h>

#include "pattern.h"
#include "test.h"

/*
 * word = mix(seed << 48 | index of the word). mix() is a bijection, so a word found in the wrong
 * place can be traced to where it belongs.
 */
#define MIX_MUL		0x9e3779b97f4a7c15ULL
#define MIX_SHIFT	32

static inline uint64_t pattern_word(uint16_t seed, uint64_t index)
{
	uint64_t x = ((uint64_t)seed << 48 | index) * MIX_MUL;

	return x ^ x >> MIX_SHIFT;
}

static void pattern_unmix(uint64_t word, unsigned int *seed, uint64_t *index)
{
	uint64_t x = word ^ word >> MIX_SHIFT;
	uint64_t inverse = MIX_MUL;
	int i;

	/* Newton's iteration for the inverse modulo 2^64. */
	for (i = 0; i < 6; i++)
		inverse *= 2 - MIX_MUL * inverse;
	x *= inverse;
	*seed = x >> 48;
	*index = x & ((1ULL << 48) - 1);
}

/* A walk through the pattern, 8 bytes at a time from any offset. Each step mixes one word only. */
struct pattern {
	uint16_t seed;
	unsigned int shift;	/* bits */
	uint64_t index;
	uint64_t word;
};

static inline struct pattern pattern_start(uint16_t seed, uint64_t off)
{
	struct pattern p = { .seed = seed, .shift = off % 8 * 8, .index = off / 8 };

	p.word = pattern_word(seed, p.index);
	return p;
}

static inline uint64_t pattern_next(struct pattern *p)
{
	uint64_t low = p->word;

	p->word = pattern_word(p->seed, ++p->index);
	return p->shift ? low >> p->shift | p->word << (64 - p->shift) : low;
}

void pattern_fill(void *dst, uint16_t seed, uint64_t off, size_t len)
{
	struct pattern p = pattern_start(seed, off);
	char *to = dst;
	uint64_t word;

	for (; len >= 8; to += 8, len -= 8) {
		word = pattern_next(&p);
		memcpy(to, &word, 8);
	}
	if (len) {
		word = pattern_next(&p);
		memcpy(to, &word, len);
	}
}

/* How many bytes agree, rounded down to a multiple of 8 unless all do. */
static size_t pattern_agrees(const char *is, uint16_t seed, uint64_t off, size_t len)
{
	struct pattern p = pattern_start(seed, off);
	uint64_t word, should;
	size_t done;

	for (done = 0; done + 8 <= len; done += 8) {
		memcpy(&word, is + done, 8);
		if (word != pattern_next(&p))
			return done;
	}
	should = pattern_next(&p);
	return memcmp(is + done, &should, len - done) ? done : len;
}

static int pattern_mismatch(const char *what, const unsigned char *is, unsigned char should,
			    size_t at, size_t len, uint64_t off)
{
	unsigned int seed;
	uint64_t word, index;
	size_t i;

	/* Do these bytes belong to another place of a pattern? Try all alignments. */
	for (i = 0; i < 8 && at + i + 8 <= len; i++) {
		memcpy(&word, is + at + i, 8);
		pattern_unmix(word, &seed, &index);
		if (seed < 256 && index < TIB)
			return fail("%s: byte %zu of %zu (pattern offset %" PRIu64
				    ") is 0x%02x, should be 0x%02x; it belongs to offset %"
				    PRIu64 " of seed %u",
				    what, at, len, off + at, is[at], should, index * 8 - i, seed);
	}
	return fail("%s: byte %zu of %zu (pattern offset %" PRIu64 ") is 0x%02x, should be 0x%02x",
		    what, at, len, off + at, is[at], should);
}

int pattern_check(const char *what, const void *p, uint16_t seed, uint64_t off, size_t len)
{
	size_t done = pattern_agrees(p, seed, off, len);
	unsigned char should[8];
	const unsigned char *is = p;
	size_t i = 0;

	if (done == len)
		return PASSED;
	pattern_fill(should, seed, off + done, sizeof(should));
	while (is[done + i] == should[i])
		i++;
	return pattern_mismatch(what, is, should[i], done + i, len, off);
}

int zero_check(const char *what, const void *p, size_t len)
{
	const unsigned char *c = p;
	size_t i;

	for (i = 0; i < len; i++)
		if (c[i])
			return fail("%s: byte %zu of %zu is 0x%02x, should be 0", what, i, len,
				    c[i]);
	return PASSED;
}

static uint64_t random_state = 0x2545f4914f6cdd1dULL;

void random_seed(uint64_t seed)
{
	/* The state must not be zero, and similar seeds must not make similar sequences. */
	random_state = (seed ^ 0x2545f4914f6cdd1dULL) * MIX_MUL | 1;
}

uint64_t random_u64(void)
{
	uint64_t x = random_state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	random_state = x;
	return x;
}
