/** Times as people read them, in their own language and zone. */

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const day = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });

export function clockTime(at: string | number): string {
  return clock.format(new Date(at));
}

/** Returns the time without what says the half of the day, for where there is little room. */
export function shortTime(at: string): string {
  const parts = clock.formatToParts(new Date(at)).filter(({ type }) => type !== 'dayPeriod');
  return parts.map(({ value }) => value).join('').trim();
}

export function fullTime(at: string | number): string {
  return full.format(new Date(at));
}

export function dayOf(at: string): string {
  return new Date(at).toDateString();
}

/** Returns the name of a day: "Today", "Yesterday", or the date. */
export function dayName(at: string, now: number): string {
  const that = dayOf(at);
  if (that === new Date(now).toDateString()) return 'Today';
  if (that === new Date(now - 86_400_000).toDateString()) return 'Yesterday';
  return day.format(new Date(at));
}
