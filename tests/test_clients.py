"""The services' own clients against the servers of the tests, which must be right about fields.

They are not installed with the tests: `pip install google-genai openai`, and each is skipped
without. What a client sends and reads is the service's form, whatever imagegen believes of it.
"""

import base64
import io

import pytest

from builders import picture
from gemini_server import GeminiServer, answers
from openai_server import OpenAIServer

KEY = "test-key-of-a-client-000001"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the clients from proxies and keys of whoever runs the tests."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "GOOGLE_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def test_googles_client_sends_and_reads_the_new_fields(server: GeminiServer) -> None:
    """`store`, the thinking level, references, sizes, and the tokens of each kind."""
    genai = pytest.importorskip("google.genai")
    types = pytest.importorskip("google.genai.types")
    client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=server.address))
    answer = client.models.generate_content(
        model="gemini-nano-banana-2.1",
        contents=["A red fox", types.Part.from_bytes(data=picture(), mime_type="image/png")],
        config=types.GenerateContentConfig(
            response_modalities=["TEXT", "IMAGE"],
            thinking_config=types.ThinkingConfig(thinking_level="HIGH"),
            image_config=types.ImageConfig(aspect_ratio="16:9", image_size="2K"),
            store=False,
        ),
    )
    (request,) = server.requests
    assert (request.status, request.store, request.thinking) == (200, False, "HIGH")
    assert (request.size, len(request.references), request.key) == ("2K", 1, KEY)
    images = [part.inline_data for part in answer.parts if part.inline_data]
    assert answers(images[0].data, "A red fox")
    counts = answer.usage_metadata
    assert (counts.prompt_token_count, counts.candidates_token_count) == (20 + 1120, 1680)
    assert counts.thoughts_token_count == 80
    assert {one.modality.value: one.token_count for one in counts.prompt_tokens_details} == {
        "TEXT": 20,
        "IMAGE": 1120,
    }
    listed = [model.name for model in client.models.list()]
    assert "models/gemini-nano-banana-2.1" in listed


@pytest.mark.parametrize(
    ("model", "more", "said"),
    [
        ("gemini-nano-banana-2.1", {"size": "512"}, "512 is not supported"),
        ("gemini-3.1-flash-image", {"level": "MEDIUM"}, "MEDIUM is not supported"),
        ("gemini-3-pro-image", {"level": "HIGH"}, "HIGH is not supported"),
    ],
)
def test_googles_client_is_refused_what_a_model_does_not_take(
    server: GeminiServer, model: str, more: dict[str, str], said: str
) -> None:
    """As an error of status 400 that the client understands."""
    genai = pytest.importorskip("google.genai")
    types = pytest.importorskip("google.genai.types")
    errors = pytest.importorskip("google.genai.errors")
    client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=server.address))
    level = more.get("level")
    with pytest.raises(errors.ClientError, match=said) as refused:
        client.models.generate_content(
            model=model,
            contents="A red fox",
            config=types.GenerateContentConfig(
                thinking_config=types.ThinkingConfig(thinking_level=level) if level else None,
                image_config=types.ImageConfig(image_size=more.get("size", "1K")),
            ),
        )
    assert (refused.value.code, refused.value.status) == (400, "INVALID_ARGUMENT")


def test_googles_client_meets_a_server_that_knows_no_store() -> None:
    """The error names the field as the service does."""
    genai = pytest.importorskip("google.genai")
    types = pytest.importorskip("google.genai.types")
    errors = pytest.importorskip("google.genai.errors")
    with GeminiServer(unknown_fields=frozenset({"store"})) as older:
        client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=older.address))
        config = types.GenerateContentConfig(store=False)
        with pytest.raises(errors.ClientError, match='Unknown name "store"'):
            client.models.generate_content(
                model="gemini-nano-banana-2.1", contents="A red fox", config=config
            )


def test_openais_client_draws_and_edits() -> None:
    """Sizes, quality, several references, tokens of each kind, and the list of models."""
    openai = pytest.importorskip("openai")
    with OpenAIServer(models=("gpt-image-2.6-flare", "gpt-5")) as server:
        client = openai.OpenAI(api_key=KEY, base_url=f"{server.address}/v1", max_retries=0)
        drawn = client.images.generate(
            model="gpt-image-2.6-flare", prompt="A red fox", size="1280x720", quality="medium"
        )
        assert answers(base64.b64decode(drawn.data[0].b64_json), "A red fox")
        assert drawn.usage.input_tokens_details.text_tokens == 50
        assert drawn.usage.output_tokens == 300
        files = [io.BytesIO(picture()) for _ in range(2)]
        for number, file in enumerate(files):
            file.name = f"{number}.png"
        edited = client.images.edit(
            model="gpt-image-2.6-flare", image=files, prompt="A red fox", size="2560x1440"
        )
        assert answers(base64.b64decode(edited.data[0].b64_json), "A red fox")
        first, second = server.asked
        assert (first.fields["size"], first.fields["quality"]) == ("1280x720", "medium")
        assert (first.key, second.path, len(second.references)) == (KEY, "/v1/images/edits", 2)
        with pytest.raises(openai.BadRequestError, match="1284x720"):
            client.images.generate(model="gpt-image-2.6-flare", prompt="A red fox", size="1284x720")
        assert [model.id for model in client.models.list()] == ["gpt-image-2.6-flare", "gpt-5"]
