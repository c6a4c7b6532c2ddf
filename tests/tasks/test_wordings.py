"""Other wordings of an instruction."""

from tunesmith.tasks import Prompt, task
from tunesmith.tasks.wordings import PLAIN, wordings


def test_every_wording_of_a_label_task_names_every_label():
    for labels in (("billing", "delivery"), tuple(f"kind {i}" for i in range(30))):
        prompt = task.get("classify").prompt(labels, inputs=("text",), target="kind")
        made = wordings(prompt)
        assert next(iter(made)) == PLAIN
        assert made[PLAIN] == prompt.instruction
        assert len(set(made.values())) == len(made) == 4
        assert all(label in words for label in labels for words in made.values())


def test_a_text_task_keeps_its_whole_instruction():
    made = wordings(Prompt("Write the note.", ()))
    assert set(made) == {PLAIN, "careful", "strict"}
    assert all("Write the note." in words for words in made.values())
