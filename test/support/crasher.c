/* An init that faults at once: what a crashed guest looks like. */
int main(void)
{
	*(volatile int *)8 = 1;
	return 0;
}
