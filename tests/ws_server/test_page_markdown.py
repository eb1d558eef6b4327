"""How the page shows what a model may write: Markdown as it grows, calls of tools, JSON."""

import json
import re

import httpx2
import pytest
from playwright.async_api import Browser, expect

from tests.browser import visit
from tests.ws_server.fake_worker import FakeWorker

MARKDOWN = r"""# A *plan*

Some **bold**, `code`, ~~gone~~, snake_case_name, a[0], 2 * 3, <b>tag</b> &lt;ok&gt;,
$E = mc_1^2$ or \(x_1\).

1. First
2. Second with `code`
   - nested
3. Third

- [x] done
- [ ] open

> A quote.

| Drink | Price |
|:------|------:|
| Tea   | 2.50  |
| **Coffee** | 3.00 |

```python
def reverse(text: str) -> str:
    '''A long
    string.'''
    return text[::-1]  # 42
```

[A link](https://example.org/a_b), [bad](javascript:alert(1)) and ![a picture](https://example.org/p.png)
<img src=x onerror=alert(1)><script>alert(1)</script>

مرحبا بالعالم
"""

#: Feeds a text to the page's own module, a character at a time, and all at once. Returns the two
#: results, and the elements that were shown and taken away again.
FEED = """async (text) => {
  const { Markdown } = await import(new URL("static/markdown.js", location.origin));
  const shown = async (pieces) => {
    const element = document.getElementById("turns").appendChild(document.createElement("div"));
    element.className = "answer";
    const taken = [];
    const elements = (nodes) => [...nodes].filter((node) => node.nodeType === 1);
    new MutationObserver((changes) => {
      for (const { removedNodes } of changes)
        taken.push(...elements(removedNodes).map((node) => node.outerHTML));
    }).observe(element, { childList: true, subtree: true });
    const markdown = new Markdown(element);
    const show = async () => {
      while (markdown.show()) await new Promise((go) => setTimeout(go, 1));
    };
    for (const piece of pieces) { markdown.write(piece); await show(); }
    markdown.end();
    await show();
    await Promise.resolve();
    return [element.innerHTML, taken];
  };
  return { slowly: await shown([...text]), once: await shown([text]) };
}"""


async def test_markdown_is_shown_the_same_however_it_is_cut_and_nothing_unsafe_gets_in(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    async with visit(browser, node) as opened:
        tab = opened.page
        shown = await tab.evaluate(FEED, MARKDOWN)
        (slowly, taken), (once, _) = shown["slowly"], shown["once"]

        assert slowly == once
        # Only a highlighted part of a line of code is shown anew.
        assert [html for html in taken if not html.startswith("<span class=")] == []
        answer = tab.locator("#turns .answer").last
        allowed = "p,h3,em,strong,code,s,ol,ul,li,blockquote,table,thead,tbody,tr,th,td,a,span,br"
        allowed += ",div,figure,figcaption,button,pre"
        assert await answer.locator(f"*:not({allowed})").count() == 0
        links = answer.locator("a")
        assert await links.evaluate_all("all => all.map((link) => link.getAttribute('href'))") == [
            "https://example.org/a_b",
            "https://example.org/p.png",
        ]
        assert await links.first.get_attribute("rel") == "noopener noreferrer nofollow"
        text = await answer.inner_text()
        for part in ("snake_case_name, a[0], 2 * 3, <b>tag</b> <ok>,", "$E = mc_1^2$ or \\(x_1\\)"):
            assert part in text
        assert "<img src=x onerror=alert(1)><script>alert(1)</script>" in text
        assert await answer.locator(".keyword").all_text_contents() == [
            "def",
            "str",
            "str",
            "return",
        ]
        assert await answer.locator("pre .string").all_text_contents() == [
            "'''",
            "A long",
            "    string.'''",
        ]
        await answer.get_by_role("button", name="Copy code").click()
        copied = await tab.evaluate("navigator.clipboard.readText()")
        assert copied == MARKDOWN.partition("python\n")[2].partition("\n```")[0]
        opened.assert_nothing_went_wrong()


async def test_a_long_list_stays_one_list_and_sources_stay_in_view(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    async with visit(browser, node) as opened:
        tab = opened.page
        source = await tab.evaluate(FEED, "As said [1].\n\n[1]: https://example.org/1\n")
        assert source["slowly"][0] == source["once"][0]
        assert "[1]: <a " in source["once"][0]
        items = "".join(f"{n}. item **number** {n}\n" for n in range(1, 200))
        shown = await tab.evaluate(FEED, items)
        assert shown["slowly"][0] == shown["once"][0]
        assert shown["slowly"][0].count("<li") == 199
        assert shown["slowly"][0].count("<ol") == 1


async def test_calls_of_tools_and_json_are_shown_as_what_they_are(
    browser: Browser, node: str, worker: FakeWorker
) -> None:
    tool = {"type": "function", "name": "add", "parameters": {"type": "object"}}
    schema = {"type": "json_schema", "name": "film", "schema": {"type": "object"}}
    async with httpx2.AsyncClient(base_url=node, timeout=30) as http:

        async def ask(**body: object) -> str:
            answer = await http.post("/v1/responses", json={"background": True, **body})
            id: str = answer.json()["id"]
            await worker.claim()
            return id

        called = await ask(input="Add 1 and 2.", tools=[tool])
        worker.call(("add", '{"a":1,"b":2}'))
        call_id = (await http.get(f"/v1/responses/{called}")).json()["output"][0]["call_id"]
        output = {"type": "function_call_output", "call_id": call_id, "output": "3"}
        counted = await ask(input=[output], previous_response_id=called, text={"format": schema})
        worker.say('{"sum":', "3}")
        worker.end()

    async with visit(browser, f"{node}/#{counted}") as opened:
        tab = opened.page
        turns = tab.locator(".turn")
        await expect(turns).to_have_count(2)
        await expect(turns.first.locator(".answer")).to_contain_text("Calls the tool add")
        call = json.loads(await turns.first.locator(".answer pre").text_content() or "")
        assert call == {"a": 1, "b": 2}
        await expect(turns.last.locator(".question")).to_contain_text("Output of a tool")
        await expect(turns.last.locator(".answer pre")).to_have_text('{\n  "sum": 3\n}')
        opened.assert_nothing_went_wrong()


@pytest.mark.long
@pytest.mark.parametrize(
    "line", ["- item with **bold words** and `code`\n", "a = 1  # one\n", "words "]
)
async def test_ten_thousand_tokens_are_shown_whole_and_each_node_is_made_once(
    browser: Browser, node: str, worker: FakeWorker, line: str
) -> None:
    text = line * (40_000 // len(line))
    fence = "```python\n" if line.startswith("a =") else ""
    count = """() => {
      window.made = 0;
      new MutationObserver((all) => {
        for (const { addedNodes } of all) window.made += addedNodes.length;
      }).observe(document.querySelector(".answer"), { childList: true, subtree: true });
    }"""
    async with visit(browser, node) as opened:
        turn = await opened.ask("Write.")
        await worker.claim()
        worker.say(fence)
        await opened.page.evaluate(count)
        for at in range(0, len(text), 80):
            worker.say(text[at : at + 80])
        worker.end()

        shown = await opened.becomes(turn, "completed")
        plain = re.sub(r"[*`]|^- ", "", text, flags=re.MULTILINE)
        assert "".join(shown.split()) == "".join((plain if not fence else text).split())
        nodes = await turn.locator(".answer *").count()
        # Parsed again at each of hundreds of frames it would be hundreds of times as many.
        assert await opened.page.evaluate("made") < 10 * nodes + 1000
