/*
 * memset for the kernel: what is made is cleared first, and picolibc's takes three instructions a word.
 *
 * void *memset(void *to, int byte, size_t n)
 */
	.text
	.globl memset
	.type memset, @function
memset:
	mv	t0, a0
	add	t1, a0, a2		/* the end */
	beqz	a1, 9f			/* mostly */
	andi	a1, a1, 0xff
	slli	t2, a1, 8
	or	a1, a1, t2
	slli	t2, a1, 16
	or	a1, a1, t2
	slli	t2, a1, 32
	or	a1, a1, t2
9:	sltiu	t2, a2, 16
	bnez	t2, 4f
1:	andi	t2, t0, 7		/* to a word's begin */
	beqz	t2, 2f
	sb	a1, 0(t0)
	addi	t0, t0, 1
	j	1b
2:	addi	t2, t1, -63		/* eight words at a time, as long as t0 < t2 */
	bgeu	t0, t2, 3f
5:	sd	a1, 0(t0)
	sd	a1, 8(t0)
	sd	a1, 16(t0)
	sd	a1, 24(t0)
	sd	a1, 32(t0)
	sd	a1, 40(t0)
	sd	a1, 48(t0)
	sd	a1, 56(t0)
	addi	t0, t0, 64
	bltu	t0, t2, 5b
3:	addi	t2, t1, -7
	bgeu	t0, t2, 4f
6:	sd	a1, 0(t0)
	addi	t0, t0, 8
	bltu	t0, t2, 6b
4:	bgeu	t0, t1, 8f
7:	sb	a1, 0(t0)
	addi	t0, t0, 1
	bltu	t0, t1, 7b
8:	ret
	.size memset, . - memset
