"""A conversation about a film whose prompts have the published lengths, turn by turn."""

from turnstream.prompts.chatstream import ChatPromptMetaLlamaLlama2Chat

QUESTIONS = (
    "Tell me of the film 'Titanic'",
    "Who directed it?",
    "And in which year was it released?",
    "Tell me who played the two lovers.",
    "Did the film win any Academy Awards?",
    "How long is it?",
    "Who wrote and who sang its famous song?",
    "Is it a true story?",
)
REPLIES = (
    "It is a film about a young woman of good family and a penniless artist who meet and fall in"
    " love on the first and last voyage of a great ocean liner, which sinks in the icy water of"
    " the North Atlantic after it has hit an iceberg. An old woman tells their story many years"
    " later to a crew of treasure hunters, who are looking for a necklace in the wreck. Much of"
    " the film was shot on a model almost as long as the ship itself, built by the sea again.",
    "It was directed by James Cameron.",
    "It was released in December of 1997, first in Tokyo and a few weeks after in the cinemas of"
    " North America. Nobody expected then that it would stay in first place for fifteen weeks, nor"
    " that it would earn more money than any film had done before it. It came back to the cinemas"
    " in 2012, a hundred years after the ship went down, this time in 3D, and once"
    " more for its twenty-fifth birthday, in 2023, in far higher definition.",
    "Kate Winslet and Leonardo DiCaprio did it",
    "It won eleven, among them best picture",
    "It runs for three hours and fifteen mins.",
    "James Horner wrote it, Céline Dion sang it.",
)
#: Turn: text without control tokens, ChatStream's skip, exact skip.
FIGURES = {
    1: (570, 570, 570),
    2: (1052, 1054, 1053),
    3: (1136, 1139, 1138),
    4: (1611, 1615, 1614),
    5: (1705, 1710, 1709),
    6: (1775, 1781, 1780),
    7: (1872, 1879, 1878),
    8: (1951, 1959, 1958),
}


def titanic(turns: int) -> ChatPromptMetaLlamaLlama2Chat:
    """Return the conversation up to the request of this turn."""
    prompt = ChatPromptMetaLlamaLlama2Chat()
    for turn in range(turns):
        prompt.add_requester_msg(QUESTIONS[turn])
        prompt.add_responder_msg(REPLIES[turn] if turn + 1 < turns else None)
    return prompt
