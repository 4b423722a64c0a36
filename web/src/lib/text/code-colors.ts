/** Colors the code blocks under an element, fetching the colorer when it is first needed. */

const MAX_COLORED = 20_000;

export async function colorCode(root: HTMLElement): Promise<void> {
  const codes = [...root.querySelectorAll<HTMLElement>('pre > code[class^="language-"]')].filter(
    (code) => !code.dataset['highlighted'] && (code.textContent?.length ?? 0) < MAX_COLORED,
  );
  if (codes.length === 0) return;
  const { highlightCode } = await import('./highlight');
  for (const code of codes) {
    if (code.isConnected) highlightCode(code, code.className.replace('language-', ''));
  }
}
