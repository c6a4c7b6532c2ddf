"""Writes the small models: a Llama with a byte-level BPE tokenizer, a BERT with a WordPiece tokenizer."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tunesmith.core.files import whole, write_json
from tunesmith.models.quiet import silent
from tunesmith.testing.sentences import SENTENCES

# The same three marks, and eos = pad, as in the default base model: a loss that ignores every pad would never
# teach the end of an answer, and a test with these models notices.
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_LM_VOCABULARY = 768
_ENCODER_VOCABULARY = 640
# Wider than the usual 0.02: an untrained model of this size would otherwise answer uniformly, and a test that
# compares two sets of logits could not tell them apart.
_SPREAD = 0.1


def tiny_lm(folder: Path, *, seed: int = 0, context: int = 1024) -> Path:
    """A causal language model with a chat template; returns `folder`, overwritten. Same seed, same bytes.

    Llama, 2 layers, width 32, 4 heads over 2 key-value heads, tied embeddings, fp32. eos = pad = <|im_end|>.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    words.train_from_iterator(
        SENTENCES,
        trainers.BpeTrainer(
            vocab_size=_LM_VOCABULARY,
            special_tokens=list(_SPECIAL),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = _CHAT_TEMPLATE
    eos = tokenizer.convert_tokens_to_ids("<|im_end|>")
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        initializer_range=_SPREAD,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.convert_tokens_to_ids("<|im_start|>"),
        eos_token_id=eos,
        pad_token_id=eos,
    )
    with _seeded(seed):
        model = LlamaForCausalLM(config)
        # transformers starts the pad row at zero; tied and equal to eos, its logit would be 0 and no ending learnable.
        model.model.embed_tokens.weight.data[eos].normal_(0.0, _SPREAD)
    with whole(Path(folder)) as draft, silent():
        model.save_pretrained(draft)
        tokenizer.save_pretrained(draft)
    return Path(folder)


def schooled_lm(
    folder: Path, talks: Sequence[tuple[str, str]] = (), *, seed: int = 0, steps: int = 120, context: int = 1024
) -> Path:
    """`tiny_lm` after some steps of next-token training on conversations; returns `folder`. Same arguments, same bytes.

    talks: (what is said, what is answered) to learn besides the sentences that its tokenizer knows, equally often.
    """
    import random

    import torch
    from transformers import AutoModelForCausalLM

    from tunesmith.core.context import Limits
    from tunesmith.models.lm import LanguageModel

    lm = LanguageModel.load(tiny_lm(Path(folder), seed=seed, context=context), Limits())
    draw = random.Random(seed)
    model = AutoModelForCausalLM.from_pretrained(folder)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    model.train()
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 1e-2 * min(1.0, 2.0 * (1.0 - step / steps))
        loss = torch.zeros(())
        for k in range(4):
            pair = draw.choice(talks) if talks and k % 2 else (draw.choice(SENTENCES), draw.choice(SENTENCES))
            ids = [*lm.template.prompt_ids([{"role": "user", "content": pair[0]}]), *lm.template.answer_ids(pair[1])]
            logits = model(input_ids=torch.tensor([ids])).logits[0, :-1]
            loss = loss + torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:])) / 4
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    with whole(Path(folder)) as draft, silent():
        model.save_pretrained(draft)
        lm.template.tokenizer.save_pretrained(draft)
    return Path(folder)


def tiny_encoder(folder: Path, *, seed: int = 0, window: int = 64) -> Path:
    """A sentence encoder with mean pooling; returns `folder`, overwritten. Same seed, same bytes.

    BERT, 2 layers, width 32, 2 heads, lower-casing WordPiece, fp32; reads `window` tokens at once, so that
    a test with a paragraph meets the code for long texts.
    """
    from transformers import BertConfig, BertModel, BertTokenizer

    tokenizer = BertTokenizer(vocab=_word_pieces(), do_lower_case=True, model_max_length=window)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=window,
        initializer_range=_SPREAD,
        pad_token_id=tokenizer.pad_token_id,
    )
    with _seeded(seed):
        model = BertModel(config)
    with whole(Path(folder)) as draft, silent():
        model.save_pretrained(draft)
        tokenizer.save_pretrained(draft)
        write_json(draft / "sentence_bert_config.json", {"max_seq_length": window, "do_lower_case": False})
        (draft / "1_Pooling").mkdir()
        write_json(
            draft / "1_Pooling" / "config.json",
            {"word_embedding_dimension": 32, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True},
        )
    return Path(folder)


def _word_pieces() -> dict[str, int]:
    """The WordPiece vocabulary of the sentences: marks, every ASCII character, then the pieces that cover most letters.

    Counted here: the library's own trainer breaks ties differently from process to process.
    """
    from tokenizers import normalizers, pre_tokenizers

    clean, split = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    covered: Counter[str] = Counter()
    for sentence in SENTENCES:
        for word, _ in split.pre_tokenize_str(clean.normalize_str(sentence)):
            covered[word] += len(word) ** 2
            covered.update({"##" + word[i:]: len(word) - i for i in range(1, len(word))})
    characters = sorted({chr(code) for code in range(33, 127)} - set(string.ascii_uppercase))
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *("##" + c for c in characters if c.isalnum())]
    known = set(pieces)
    best = sorted((p for p in covered if p not in known), key=lambda p: (-covered[p], p))
    pieces += best[: _ENCODER_VOCABULARY - len(pieces)]
    return {piece: i for i, piece in enumerate(pieces)}


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """torch's generator at `seed` inside the block, and as it was before after it."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
