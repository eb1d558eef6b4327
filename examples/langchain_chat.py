"""A streamed answer through LangChain: pip install langchain-openai"""

from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI

model = ChatOpenAI(
    model="demo",
    base_url="http://127.0.0.1:8000/v1",
    api_key="any",
    # Without this it uses chat completions, which works too.
    use_responses_api=True,
)
question = [SystemMessage("Be brief."), HumanMessage("Do you know the Titanic movie?")]
for chunk in model.stream(question):
    print(chunk.text, end="", flush=True)
print()
