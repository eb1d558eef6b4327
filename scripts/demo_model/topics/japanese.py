"""A handful of Japanese questions and answers, films and capitals among them."""

from scripts.demo_model.fact import Aspect, Fact, Wordings, facts_of
from scripts.demo_model.reading import read_facts, read_table

TOPIC = "Japanese"


_FILM_ASPECTS = (
    Aspect(
        name="何",
        asked=Wordings(
            seen=(
                "{name}という映画を知っていますか？",
                "映画{name}を知っていますか？",
                "{name}を知っていますか？",
                "{name}って知ってる？",
                "{name}について教えてください。",
                "{name}とは何ですか？",
                "映画の{name}を知ってる？",
            ),
            unseen=("{name}という映画をご存知ですか？", "映画{name}について教えてください。"),
        ),
        answer="はい、{name}は{year}年の映画です。",
        brief="はい、{year}年の映画です。",
        phrase="{year}年の映画",
    ),
    Aspect(
        name="監督",
        asked=Wordings(
            seen=(
                "{name}の監督は誰ですか？",
                "映画{name}の監督は誰ですか？",
                "{name}を監督したのは誰ですか？",
                "{name}の監督は？",
                "{name}の監督を教えてください。",
            ),
            unseen=("{name}の監督はだれですか？", "{name}は誰が監督しましたか？"),
        ),
        again=Wordings(
            seen=(
                "監督は誰ですか？",
                "監督は？",
                "誰が監督ですか？",
                "その映画の監督は誰ですか？",
                "監督を教えてください。",
                "誰が監督しましたか？",
            ),
            unseen=("監督はだれですか？", "この映画の監督は誰ですか？"),
        ),
        answer="{name}の監督は{director}です。",
        brief="{director}です。",
        phrase="{director}です",
    ),
    Aspect(
        name="主演",
        asked=Wordings(
            seen=(
                "{name}の主演は誰ですか？",
                "{name}には誰が出ていますか？",
                "{name}の俳優は誰ですか？",
                "{name}の主演は？",
                "{name}の主演を教えてください。",
            ),
            unseen=("映画{name}の主演は誰ですか？", "{name}に出ているのは誰ですか？"),
        ),
        again=Wordings(
            seen=(
                "主演は誰ですか？",
                "主演は？",
                "誰が出ていますか？",
                "俳優は誰ですか？",
                "その映画の主演は誰ですか？",
                "主演を教えてください。",
                "誰が主演ですか？",
            ),
            unseen=("主演はだれですか？", "この映画には誰が出ていますか？"),
        ),
        answer="{name}の主演は{stars}です。",
        brief="{stars}です。",
        phrase="{stars}です",
    ),
)

_COUNTRY_ASPECTS = (
    Aspect(
        name="首都",
        asked=Wordings(
            seen=(
                "{name}の首都はどこですか？",
                "{name}の首都は？",
                "{name}の首都を教えてください。",
                "{name}の首都はどこ？",
                "{name}の首都は何ですか？",
            ),
            unseen=("{name}の首都を知っていますか？", "{name}の首都はどの町ですか？"),
        ),
        switch=Wordings(seen=("{name}は？", "では、{name}は？", "{name}の首都は？")),
        answer="{name}の首都は{capital}です。",
        brief="{capital}です。",
        phrase="{capital}です",
    ),
)

FACTS: tuple[Fact, ...] = (
    *read_facts(TOPIC, "japanese.txt"),
    *facts_of(TOPIC, read_table("films_ja.txt"), _FILM_ASPECTS),
    *facts_of(TOPIC, read_table("countries_ja.txt"), _COUNTRY_ASPECTS),
)
