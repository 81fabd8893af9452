"""Secrets are cut out of every text; sentences stay as they are."""

from __future__ import annotations

import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kling_effects_async.errors import ApiError
from kling_effects_async.models import TaskPage, TaskSnapshot, TaskStatus
from kling_effects_async.protocol.messages import Listed
from kling_effects_async.protocol.redaction import Shown, redacted

NAMES = (
    "Signature sign sig token access_token auth_key authKey OSSAccessKeyId AWSAccessKeyId Policy "
    "Key-Pair-Id X-Amz-Signature X-Amz-Credential X-Amz-Security-Token x-oss-signature q-signature "
    "GoogleAccessId X-Goog-Signature wsSecret txSecret hmac api_key access_key secret_key password "
    "KLING_API_KEY KLING_SECRET_KEY"
).split()
SECRETS = st.text("abcdefXYZ0123456789+/_-.~%*", min_size=6, max_size=40).map("topsecret{}".format)


@pytest.mark.parametrize(
    "secret",
    [
        "https://v.example/o.mp4?sign=topsecret",
        "HTTPS://v.example/o.mp4?topsecret",
        "https://v.example/o.mp4#topsecret",
        "//img.example/a.jpg?Expires=1&topsecret",
        "v.example/o.mp4?Expires=1&topsecret",
        "/o.mp4?Expires=1&topsecret",
        "o.mp4?Expires\\u003d1\\u0026topsecret",
        "https%3A%2F%2Fv.example%2Fo.mp4%3Fsign%3Dtopsecret",
        "https%3A%2F%2Fv.example%2Fo.mp4%3FExpires%3D1%26Signature%3Dtopsecret",
        "https://user:topsecret@v.example/o.mp4",
        "socks5://user:topsecret@proxy.example",
        "//user:topsecret@v.example/o.mp4",
        "Authorization: Bearer topsecret",
        "Authorization: Basic topsecret",
        "Proxy-Authorization: Basic dG9wc2VjcmV0topsecret==",
        "{'Authorization': 'Basic topsecret'}",
        "Basic topsecret=",
        "invalid token sk-topsecret",
        "sk-topsecret",
        "token=topsecret",
        "api-key-kling-topsecret",
        "your key API-KEY-KLING-topsecret",
        "eyJtopsecret.eyJtopsecret.topsecret",
        "eyJtopsecret",
        "eyJ0eXAi.topsecret",
        "Bearer%20eyJtopsecret.eyJtopsecret.topsecret",
        "whsec_topsecret",
        '{"token": "topsecret"}',
        '{\\"auth_key\\":\\"topsecret\\"}',
        "AWS4-HMAC-SHA256 Credential=topsecret/2026, Signature=topsecret",
    ],
)
def test_secrets_are_cut_out_of_texts(secret: str) -> None:
    """Fault 67: secrets in errors."""
    assert "topsecret" not in redacted(f"before {secret} after")
    assert redacted(f"before {secret} after").startswith("before ")
    assert redacted(f"before {secret} after").endswith(" after")
    assert "topsecret" not in redacted(secret)  # alone, as some members of an answer are


@given(
    st.sampled_from(["", "see ", "//h.example/a?x=1&", "h.example/a?", "(", "a=1&", "{", "a,"]),
    st.sampled_from(NAMES),
    st.sampled_from(["=", "%3D", "%3d"]),
    SECRETS,
)
def test_the_value_of_a_secret_pair_is_never_shown(
    before: str, name: str, equals: str, secret: str
) -> None:
    for spelled in (name, name.lower(), name.upper()):
        assert "topsecret" not in redacted(f"{before}{spelled}{equals}{secret} after")


@given(
    st.sampled_from(["", "//", "http://", "HTTPS://", "/", "../"]),
    st.from_regex(r"[a-z0-9.-]{1,20}(/[A-Za-z0-9._~%-]{0,20}){0,3}", fullmatch=True),
    st.from_regex(r"[A-Za-z-]{1,12}", fullmatch=True),
    SECRETS,
)
def test_a_signed_address_is_shown_up_to_its_query(
    scheme: str, address: str, name: str, secret: str
) -> None:
    text = redacted(f"at {scheme}{address}?{name}={secret}, gone")
    assert "topsecret" not in text
    assert text.endswith("?... gone")


@pytest.mark.parametrize(
    "sentence",
    [
        "what? The design=5 holds; is it and/or? Yes: 3 > 2 # a note",
        "basic rules apply, and basic authentication failed",
        "Authorization failed: the token is invalid, or the signature does not match",
        "invalid token: expired; sign in again, and check the policy",
        "image.mp4? image/jpeg? a.b/c? C# and F#",
        "code 1201: Task not found by id/external id: keb-0123456789abcdef",
        "/v1/videos/effects answered 404, see https://app.klingai.com/global/dev/document-api",
        "write to support@kling.ai // or wait",
        "图片太大了？请压缩后重试。",
        "monkeyJson.a.b",
    ],
)
def test_sentences_stay_as_they_are(sentence: str) -> None:
    assert redacted(sentence) == sentence


@given(
    st.lists(
        st.sampled_from(
            "what is the token? sign policy signature basic (see a/b) 5 # no! b.jpg, key".split()
        )
    )
)
def test_plain_words_in_any_order_stay_as_they_are(words: list[str]) -> None:
    assert redacted(" ".join(words)) == " ".join(words)


@given(st.text() | st.text("eyJ.?=&#/@: -_sk%3DFBasicearr'\"\\"))
@example("Signature=https://a@b?c")
def test_a_redacted_text_stays_as_it_is(text: str) -> None:
    assert redacted(redacted(text)) == redacted(text)


@pytest.mark.parametrize(
    "piece",
    [
        "http://",
        "//",
        "//a",
        "-eyJ",
        "eyJa.",
        "eyJ-a.b",
        "?",
        "?a",
        "=",
        "sign",
        "token",
        "secret_",
        "access_key",
        "basic ",
        "basic  a",
        "bearer ",
        "authorization: ",
        "sk-",
        "api-key-kling-",
        "whsec_",
        "%3F",
        '"',
        '\\" : ',
        "a@",
        " ",
    ],
)
def test_time_grows_with_the_text_and_no_faster(piece: str) -> None:
    """Whoever writes the text could stop the loop otherwise: a square would take minutes."""
    begin_s = time.process_time()
    redacted(piece * (400_000 // len(piece)))
    assert time.process_time() - begin_s < 5


KEY = "ab/c+d=="


@pytest.mark.parametrize("form", [KEY, KEY.upper(), "ab%2Fc%2Bd%3D%3D", r"ab\/c+d=="])
def test_our_own_key_is_cut_out_however_it_is_spelled(form: str) -> None:
    assert Shown((KEY, "ab/c")).text(f"key {form} is wrong") == "key ... is wrong"


LONG_KEY = "AkLm3/xQ7+vR9tY2pZ5w"
ODD_KEY = "~?>~~?>>?~~>?>~?~~>>"  # the two alphabets of base64 differ in these


@pytest.mark.parametrize("form", [r"ab\u002fc\u002bd\u003d\u003d", "YWIvYytkPT0="])
def test_our_own_key_is_cut_out_as_json_and_base64_write_it(form: str) -> None:
    shown = Shown((KEY,)).text(f"key {form} is wrong")
    assert shown.removesuffix(" is wrong").rstrip("=") == "key ..."


@given(
    begin=st.integers(0, len(LONG_KEY) - 12),
    size=st.integers(12, len(LONG_KEY)),
    before=st.text("_ ", max_size=20),
    is_lower=st.booleans(),
)
def test_twelve_letters_of_our_own_key_are_cut_out(
    begin: int, size: int, before: str, is_lower: bool
) -> None:
    """Some services name the key that they reject, shortened."""
    part = LONG_KEY[begin : begin + size]
    shown = Shown((LONG_KEY,)).text(f"{before}{part.lower() if is_lower else part}!", "code")
    assert shown == f"{before}...!"


@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode])
@given(before=st.binary(max_size=8), after=st.binary(max_size=8))
def test_base64_of_a_text_around_our_own_key_is_cut_out(
    encode: Callable[[bytes], bytes], before: bytes, after: bytes
) -> None:
    """Such as the header for a proxy, or a dump of a request."""
    encoded = encode(before + ODD_KEY.encode() + after).decode()
    shown = Shown((ODD_KEY,)).text(encoded, "code")
    assert "..." in shown
    letters_of_the_key = len(shown) - len(encode(before)) - len(encode(after))
    assert letters_of_the_key <= 11


@pytest.mark.parametrize("text", ["AkLm3/xQ7+v", "3/xQ7+vR9tY", "vR9tY2pZ5w", "a task of " * 10])
def test_fewer_letters_of_our_own_key_stay(text: str) -> None:
    assert Shown((LONG_KEY,)).text(text) == text


@pytest.mark.parametrize("piece", [LONG_KEY[3:14], LONG_KEY[2:8], LONG_KEY, "vR9tY2 "])
def test_time_to_find_our_own_key_grows_with_the_text_and_no_faster(piece: str) -> None:
    begin_s = time.process_time()
    Shown((LONG_KEY, "a-secret-key-of-thirty-two-bytes")).own.cut(piece * (300_000 // len(piece)))
    assert time.process_time() - begin_s < 5


def test_a_key_too_short_to_be_one_is_a_word() -> None:
    assert Shown(("abc",)).text("abc") == "abc"
    assert Shown(("abcd",)).text("abcd") == "..."
    assert Shown(()).text("abc") == "abc"


@pytest.mark.parametrize(
    ("name", "longest"), [("code", 80), ("raw_status", 80), ("request_id", 200), ("message", 2000)]
)
def test_a_text_is_bounded_and_an_id_is_one_line(name: str, longest: int) -> None:
    shown = Shown(()).text("a\n" + "b" * 3000, name)
    assert len(shown) == longest
    assert shown.startswith("a\nb" if name == "message" else "a?b")


def test_what_was_read_is_harmless_and_the_same_where_it_was() -> None:
    secret = TaskSnapshot(
        task_id="t1",
        status=TaskStatus.PROCESSING,
        raw_status="abcd",
        message="key abcd",
        request_id="abcd",
    )
    plain = TaskSnapshot(task_id="t2", status=TaskStatus.PROCESSING, raw_status="processing")
    shown = Shown(("abcd",))
    (cut, same) = shown.value(Listed(tasks=[secret, plain], shown=2)).tasks
    assert (cut.raw_status, cut.message, cut.request_id) == ("...", "key ...", "...")
    assert same is plain
    assert shown.value(plain) is plain
    page = TaskPage(tasks=(secret,), unreadable=0, page=1, page_size=30)
    assert shown.value(page).tasks == (cut,)
    assert shown.value("abcd") == "abcd"


def test_an_error_is_harmless_and_has_nothing_behind_it() -> None:
    try:
        try:
            raise ValueError("the body")
        except ValueError:
            raise ApiError("key abcd", code="a\nabcd", request_id="x") from None
    except ApiError as error:
        shown = Shown(("abcd",)).error(error)
    assert isinstance(shown, ApiError)
    assert (shown.args, shown.code, shown.request_id) == (("key ...",), "a?...", "x")
    assert (shown.__cause__, shown.__context__, shown.__traceback__) == (None, None, None)


def test_a_word_of_a_task_is_bounded_as_a_word() -> None:
    task = TaskSnapshot(task_id="t1", status=TaskStatus.UNKNOWN, raw_status="a" * 300)
    assert Shown(()).value(task).raw_status == "a" * 80


def test_what_is_no_text_in_an_error_stays() -> None:
    error = ApiError("no")
    error.args = ("no", 5)
    assert Shown(()).error(error).args == ("no", 5)
