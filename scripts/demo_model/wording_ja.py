"""Random variations of a Japanese question."""

import re
from random import Random

#: One Japanese character.
JAPANESE = re.compile("[぀-ヿ一-鿿々]")

_OPENINGS = (
    "ねえ、",
    "あの、",
    "えっと、",
    "すみません、",
    "では、",
    "じゃあ、",
    "ところで、",
    "それで、",
    "そして、",
    "次に、",
    "質問です。",
    "質問があります。",
    "もう一つ、",
    "ちょっと聞きたいのですが、",
)
_ENDINGS = ("お願いします。", "教えてください。", "気になります。")
#: Pairs of equivalent expressions.
_EXCHANGES = (
    ("誰ですか", "だれですか"),
    ("誰ですか", "誰でしょうか"),
    ("誰ですか", "どなたですか"),
    ("誰ですか", "誰なんですか"),
    ("誰ですか", "誰だっけ"),
    ("誰", "だれ"),
    ("何ですか", "なんですか"),
    ("何ですか", "何でしょうか"),
    ("何ですか", "何なんですか"),
    ("どこですか", "どこでしょうか"),
    ("どこですか", "どこだっけ"),
    ("教えてください", "教えてくれますか"),
    ("教えてください", "教えて下さい"),
    ("教えてください", "教えてほしいです"),
    ("教えて", "おしえて"),
    ("してください", "してくれますか"),
    ("してください", "してほしいです"),
    ("書いてください", "書いてくれますか"),
    ("ください", "下さい"),
    ("知っていますか", "知ってますか"),
    ("知っていますか", "ご存じですか"),
    ("知っていますか", "知っているの"),
    ("出ていますか", "出てますか"),
    ("どうなりますか", "どうなるの"),
    ("どうなりますか", "どうなりますでしょうか"),
    ("分か", "わか"),
    ("話せますか", "話すことができますか"),
    ("できますか", "出来ますか"),
    ("？", "?"),
)
_NAME = re.compile(" ?turnstream ?")


def vary_japanese(rng: Random, question: str) -> str:
    """Return a question with random variations of its form."""
    for ours, other in _EXCHANGES:
        if ours in question and rng.random() < 0.15:
            question = question.replace(ours, other)
    if "turnstream" in question and rng.random() < 0.4:
        question = _NAME.sub(" turnstream ", question).strip()
    if rng.random() < 0.2:
        question = rng.choice(_OPENINGS) + question
    if question[-1] in "？?" and rng.random() < 0.04:
        question += rng.choice(_ENDINGS)
    if rng.random() < 0.3:
        question = question.rstrip("？?。！")
    return question
