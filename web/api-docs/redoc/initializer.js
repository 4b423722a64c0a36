/* global Redoc */
const fontFamily = 'system-ui, sans-serif';
Redoc.init(
  '/openapi.json',
  { theme: { typography: { fontFamily, headings: { fontFamily } } } },
  document.getElementById('redoc'),
);
