"""The words that columns are usually called by, and what each says about a column's part in a table.

Names are hints, never proof: structure and measured predictability decide with them.
"""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What people call the answer.
TARGET_STRONG = _words(
    "label labels target class category intent sentiment y topic verdict polarity emotion stance spam is_spam toxic "
    "is_toxic ground_truth gold annotation classification intention label_name label_text gold_label"
)
TARGET_MEDIUM = _words(
    "rating stars type kind tag outcome diagnosis genre department queue severity priority urgency status decision "
    "grade score theme subject_area section section_header code product_category issue_type ticket_type gt "
    "answer_key answerkey team routing disposition result feedback_type reason tone mood "
    "sub_category subcategory subtopic subtype coarse fine level"
)
# What people call a text that is to be written.
TEXT_TARGET = _words(
    "target output completion response summary highlights tldr answer note rewrite rewritten simplified corrected "
    "correction translation reply section_text reference paraphrase abstract gist headline chosen canonical_solution "
    "conclusion impression assessment solution formal clean"
)
# What people call the text that is read.
INPUT = _words(
    "text input prompt message body content document article review comment question query utterance sentence tweet "
    "post dialogue dialog conversation transcript description instruction source note passage complaint narrative "
    "email mail subject title headline abstract context texts msg sms report story snippet premise hypothesis "
    "reviewtext review_text review_body full_text raw_text ticket request speech phrase statement"
)
# Written after the answer was known: not there when the model will be asked.
AFTERWARDS = _words(
    "resolution resolution_notes reply response answer outcome closing_note closing_notes agent_reply agent_response "
    "agent_notes solution closed_reason resolved_by followup follow_up action_taken internal_notes prediction "
    "predicted pred model_output explanation rationale"
)
# About the row, not of it.
ABOUT = _words(
    "id uuid guid key index idx row rowid row_id no nr number ref date time timestamp created created_at updated "
    "updated_at day month year agent user username user_id author assignee assigned_to owner name first_name last_name "
    "customer customer_id client email_address phone source channel country city region state language lang locale "
    "url link href file filename file_name path version hash md5 sha sha256 checksum fold split group cluster age "
    "gender sex store product product_id brand model device platform os browser worker annotator batch session "
    "thread ip zip postcode count votes likes retweets confidence company site doctor "
    "branch location office shift browser_version"
)
SPLIT_NAMES = _words("split set subset fold partition part usage dataset sample")
SPLIT_VALUES = {
    "train": "train", "training": "train", "trn": "train", "tr": "train",
    "dev": "dev", "valid": "dev", "validation": "dev", "val": "dev", "development": "dev",
    "test": "test", "testing": "test", "tst": "test", "te": "test",
    "eval": "test", "evaluation": "test", "holdout": "test",
}  # fmt: skip


def canonical_name(name: str) -> str:
    """A column's name in lower case with underscores: `Created At`, `createdAt` and `created-at` are one."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[^0-9a-z\u0080-\uffff]+", "_", spaced.lower()).strip("_")


def name_words(name: str) -> tuple[str, ...]:
    """The whole canonical name and its parts: ticket_category -> (ticket_category, category, ticket)."""
    whole = canonical_name(name.rsplit(".", 1)[-1] if "." in name else name)
    parts = [part for part in whole.split("_") if part]
    return tuple(dict.fromkeys([whole, whole.replace("_", ""), *reversed(parts)]))


def is_known_column_name(cell: str) -> bool:
    """Whether the cell is a word that tables use as a column's name."""
    whole = canonical_name(cell)
    vocabulary = TARGET_STRONG | TARGET_MEDIUM | TEXT_TARGET | INPUT | AFTERWARDS | ABOUT | SPLIT_NAMES
    if whole in vocabulary:
        return True
    # Several words joined the way only names are: user_id, createdAt.
    parts = whole.split("_")
    return len(cell) <= 40 and " " not in cell.strip() and len(parts) > 1 and any(part in vocabulary for part in parts)
