"""The page's frame and style sheet."""

from gatedrnn import plots


def colours() -> str:
    def variables(theme: plots.Theme) -> str:
        ink = f"--page: {theme.background}; --ink: {theme.ink}; --line: {theme.faint}; --band: {theme.bands[0]};"
        return f":root {{ {ink} }}"

    return f"\n{variables(plots.LIGHT)}\n@media (prefers-color-scheme: dark) {{ {variables(plots.DARK)} }}"


CSS = """
:root { color-scheme: light dark; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 1rem/1.55 system-ui, sans-serif; }
main { max-width: 82rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; overflow-wrap: anywhere; }
h1, h2, h3, p, ul, dl, figcaption { max-width: 46rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 1rem; }
h2 { font-size: 1.35rem; margin: 2.5rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .2rem; }
p { margin: .2rem 0 .8rem; }
ul { margin: .2rem 0 .8rem; padding-left: 1.2rem; }
figure { margin: 1.5rem 0; }
figcaption { font-size: .9rem; margin-top: .5rem; }
img { display: block; max-width: 100%; height: auto; }
.scroll, pre { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: collapse; width: 100%; font-size: .85rem; font-variant-numeric: tabular-nums; }
table { overflow-wrap: normal; }
caption { text-align: left; padding: .5rem .7rem; }
th, td { text-align: left; vertical-align: top; padding: .45rem .55rem; border-top: 1px solid var(--line); }
thead th { vertical-align: bottom; background: var(--band); min-width: 5.5rem; }
tbody th { white-space: nowrap; background: var(--page); position: sticky; left: 0; }
.numbers td { white-space: nowrap; }
.prose td:last-child { min-width: 18rem; }
small { display: block; opacity: .8; white-space: normal; }
pre { padding: .7rem; background: var(--band); max-width: 46rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }
dt { font-weight: 600; }
dd { margin: 0; }
@media (max-width: 700px) { picture { display: block; margin: 0 -.8rem; } }
"""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""
