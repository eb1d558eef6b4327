"""All facts that the demo model learns, by topic."""

from collections.abc import Mapping

from scripts.demo_model.fact import Fact
from scripts.demo_model.topics import (
    animals,
    arithmetic,
    capitals,
    films,
    japanese,
    japanese_sums,
    lists,
    product,
    small_talk,
    stories,
)

FACTS: Mapping[str, tuple[Fact, ...]] = {
    module.TOPIC: module.FACTS
    for module in (
        small_talk,
        films,
        capitals,
        animals,
        arithmetic,
        product,
        lists,
        stories,
        japanese,
        japanese_sums,
    )
}
