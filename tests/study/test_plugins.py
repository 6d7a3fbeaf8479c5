"""What other packages that are installed declare: found, named where it is wrong, and part of code versions."""

import importlib
import sys
from collections.abc import Callable, Iterator

import pytest

from grads.runtime import plugins
from grads.runtime.environment import environment
from grads.runtime.errors import GradsError
from grads.selection.contract import Method
from grads.selection.registry import REGISTRY
from grads.study import code
from grads.study.code import code_version
from grads.study.parameters import Registry
from tests.wheels import install, make_wheel

METHOD = '''
"""The longest answers."""
from grads.selection.contract import Choice, Method
from .scores import score


def select(inputs, parameters):
    return Choice(score(inputs.pool))


METHOD = Method(name="longest_answers", title="Longest answers", source="a test", select=select)
'''
SCORES = "def score(pool):\n    return pool['response_tokens'].to_numpy()\n"
FILES = {"acme/__init__.py": "", "acme/longest.py": METHOD, "acme/scores.py": SCORES}
POINT = {"grads.methods": {"longest": "acme.longest"}}


def forget() -> None:
    """Forget what is known of installed packages, as another process would."""
    for known in (plugins.all_plugins, plugins.companions, code._read, code._spec):
        known.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0].startswith("acme")]:
        del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def installed(tmp_path, monkeypatch) -> Iterator[Callable[..., Registry[Method]]]:
    """Return a function that installs a wheel and returns a registry of methods that knows of it."""

    def add(files=FILES, points=POINT, name="acme", version="1.0", packed=False):
        wheel = make_wheel(tmp_path / "wheels", name, files, points, version)
        site = wheel if packed else install(wheel, tmp_path / f"site-{name}-{version}")
        monkeypatch.syspath_prepend(str(site))
        forget()
        return Registry(
            "grads.selection.methods", "METHOD", Method, "there is no selection method", group="grads.methods"
        )

    yield add
    monkeypatch.undo()
    forget()


@pytest.mark.parametrize("packed", [False, True])
def test_a_method_of_another_package_is_found(installed, packed):
    registry = installed(packed=packed)
    assert registry.find("longest_answers").title == "Longest answers"
    assert registry.module_of("longest_answers") == "acme.longest"
    assert registry.find("grads").name == "grads"
    assert set(registry.all()) - set(registry.own()) == {"longest_answers"}
    assert set(registry.own()) == set(REGISTRY.own())


def test_a_constant_may_be_named(installed):
    two = METHOD.replace("METHOD =", "FIRST =") + "\nSECOND = Method(name='b', title='B', source='t', select=select)\n"
    points = {"grads.methods": {"a": "acme.longest:FIRST", "b": "acme.longest:SECOND"}}
    registry = installed(FILES | {"acme/longest.py": two}, points)
    assert {"longest_answers", "b"} <= set(registry.all())


def test_groups_of_others_are_left_alone(installed):
    registry = installed(points={"console_scripts": {"x": "nothing:there"}, "gradstudent.methods": {"y": "nowhere"}})
    assert registry.all().keys() == registry.own().keys()
    assert "acme" not in plugins.plugin_versions()


def test_manifests_say_which_packages_add_something(installed):
    installed(version="2.1")
    assert environment()["plugins"]["acme"] == "2.1"


@pytest.mark.parametrize(
    ("text", "value", "sentence"),
    [
        ("import acme_nothing\n", "acme.longest", "cannot be loaded .*ModuleNotFoundError.*acme_nothing"),
        ("def f(:\n", "acme.longest", "cannot be loaded .*invalid syntax"),
        ("x = 1\n1 / 0\n", "acme.longest", r"cannot be loaded .*ZeroDivisionError.* fix \S*acme/longest\.py:2,"),
        ("x = 1\ndef f(:\n", "acme.longest", r"cannot be loaded .*invalid syntax.* fix \S*acme/longest\.py:2,"),
        ("import sys\n\nsys.exit('x')\n", "acme.longest", r"cannot be loaded \(SystemExit.*acme/longest\.py:3,"),
        (METHOD.replace("name=", ""), "acme.longest", "cannot be loaded .*"),
        ("x = 1\n", "acme.longest", "declares no METHOD"),
        ("METHOD = 'longest'\n", "acme.longest", "declares no METHOD"),
        (METHOD, "acme.gone", "cannot be loaded .*acme.gone"),
        (METHOD, "acme.longest:OTHER", "cannot be loaded .*OTHER"),
    ],
)
def test_what_is_broken_is_one_sentence_that_names_the_package(installed, text, value, sentence):
    registry = installed(FILES | {"acme/longest.py": text}, {"grads.methods": {"mine": value}})
    with pytest.raises(GradsError, match=sentence) as error:
        registry.all()
    assert str(error.value).startswith("entry point 'mine' of 'grads.methods' in acme 1.0 ")
    assert "\n" not in str(error.value)


def test_a_name_that_is_taken_is_refused(installed):
    registry = installed(FILES | {"acme/longest.py": METHOD.replace("longest_answers", "random")})
    taken = (
        r"grads/selection/methods/random\.py and entry point 'longest' of 'grads\.methods' in acme 1\.0 both declare"
    )
    with pytest.raises(GradsError, match=f"{taken} the method 'random': rename one"):
        registry.all()


def test_two_packages_may_not_share_a_name(installed):
    installed()
    files = {path.replace("acme/", "acme_two/"): text for path, text in FILES.items()}
    registry = installed(files, {"grads.methods": {"longest": "acme_two.longest"}}, name="acme_two")
    with pytest.raises(GradsError, match=r"in acme 1\.0 and entry point .* in acme_two 1\.0 both declare"):
        registry.all()


def test_of_two_versions_the_first_on_the_path_counts(installed):
    installed(version="1.0")
    registry = installed(version="2.0")
    assert plugins.plugin_versions()["acme"] == "2.0"
    assert registry.find("longest_answers").title == "Longest answers"


def version_with(installed, changed, version, **options):
    installed(FILES | changed, version=version, **options)
    return code_version("grads.selection.contract", "acme.longest")


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({}, True),
        ({"acme/scores.py": SCORES + "# as before\n"}, True),
        ({"acme/scores.py": SCORES.replace("response", "prompt")}, False),
        ({"acme/longest.py": METHOD + "\nX = 1\n"}, False),
        ({"acme/longest.py": METHOD.replace("The longest answers.", "Long ones first.")}, True),
        ({"acme/__init__.py": "import os\n"}, False),
        ({"acme/other.py": "x = 1\n"}, True),
    ],
)
def test_the_code_of_a_plugin_and_what_it_imports_of_itself_count(installed, changed, same):
    before = version_with(installed, {}, "1.0")
    assert (version_with(installed, changed, "1.1") == before) == same
    assert (version_with(installed, changed, "1.2", packed=True) == before) == same


@pytest.mark.parametrize(
    "statement",
    [
        "from acme import helper",
        "from acme.helper import k",
        "import acme.helper",
        "from . import helper",
        "from .helper import k",
        "from .helper import *",
        "from .deep.part import k",
        "from .deep import part",
        "import acme_too",
        "from acme_too import k",
    ],
)
def test_an_import_counts_however_it_is_written(installed, statement):
    versions = []
    for number in (1, 2):
        text = f"k = {number}\n"
        files = {
            "acme/longest.py": f"def f():\n    {statement}\n" if "*" not in statement else f"{statement}\n",
            "acme/helper.py": text,
            "acme/deep/__init__.py": "",
            "acme/deep/part.py": "from ..helper import k\n",
            "acme_too.py": text,
        }
        versions.append(version_with(installed, files, f"1.{number}"))
    assert versions[0] != versions[1]


def test_what_it_imports_of_this_package_counts_and_of_others_does_not(installed):
    text = "import yaml\nfrom grads.selection.algorithms import density\n"
    installed(FILES | {"acme/longest.py": text})
    reached = set()
    waiting = ["acme.longest"]
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting.extend(code._read(module)[1])
    assert {"acme", "acme.longest", "grads.selection.algorithms.density"} <= reached
    assert not [module for module in reached if module.partition(".")[0] not in ("acme", "grads")]


def test_compiled_code_counts_byte_by_byte(installed):
    files = {"acme/longest.py": "from . import fast\n", "acme/fast.abi3.so": "one"}
    before = version_with(installed, files, "1.0")
    assert version_with(installed, files, "1.1") == before
    assert version_with(installed, files | {"acme/fast.abi3.so": "two"}, "1.2") != before


def test_a_package_that_was_taken_away_has_a_version_all_the_same(installed):
    installed(FILES, {"grads.methods": {"longest": "acme_gone.longest"}})
    assert code_version("acme_gone.longest") == code_version("acme_gone.longest")


LAYOUT = """
from grads.data.layouts.contract import Conversation, Layout

LAYOUT = Layout(name="talk", needed=("talk",), read=lambda given: Conversation(given.messages("talk")))
"""


def test_data_are_prepared_again_when_a_layout_of_another_package_changes(installed):
    points = {"grads.layouts": {"talk": "acme.talk"}}
    versions = [code_version("grads.data.records.layouts")]
    for number, text in enumerate((LAYOUT, LAYOUT + "x = 1\n", LAYOUT + "x = 1  # again\n")):
        installed({"acme/__init__.py": "", "acme/talk.py": text}, points, version=f"1.{number}")
        versions.append(code_version("grads.data.records.layouts"))
    assert len(set(versions)) == 3
    assert versions[2] == versions[3]
