"""Sums up to twenty, asked in Japanese."""

from scripts.demo_model.fact import Aspect, Fact, Wordings, facts_of
from scripts.demo_model.topics.arithmetic import LIMIT

TOPIC = "Japanese sums"

SUMS = [
    {"name": f"{a}{word}{b}", "symbols": f"{a}{sign}{b}", "result": str(result)}
    for a in range(LIMIT + 1)
    for b in range(LIMIT + 1)
    for word, sign, result in (("たす", "+", a + b), ("ひく", "-", a - b))
    if 0 <= result <= LIMIT
]

_ASPECTS = (
    Aspect(
        name="計算",
        asked=Wordings(
            seen=(
                "{name}[は|は何ですか|は何|はいくつ|はいくつですか]？",
                "{symbols}[は|は何ですか|は何|はいくつ|はいくつですか]？",
                "[{name}|{symbols}]を計算[してください。|して]",
                "[{name}|{symbols}]の答えは[何ですか|]？",
                "[{name}|{symbols}]はどうなりますか？",
                "[{name}|{symbols}]を教えて[ください。|]",
            ),
            unseen=(
                "{name}はいくらですか？",
                "{symbols}はいくらになりますか？",
                "{name}の答えを教えてください。",
                "{symbols}を計算してもらえますか？",
            ),
        ),
        switch=Wordings(seen=("[では、|じゃあ、|]{name}は？", "{symbols}は？")),
        answer="{name}は{result}です。",
        brief="{result}です。",
        phrase="は{result}です。",
    ),
)

FACTS: tuple[Fact, ...] = facts_of(TOPIC, SUMS, _ASPECTS)
