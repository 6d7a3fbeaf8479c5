from grads.api.documentation import CLASSES, FUNCTIONS, PAGE, api_page


def test_the_page_is_that_of_the_code():
    assert PAGE.read_text(encoding="utf-8") == api_page(), "run `make docs`"


def test_every_function_and_class_has_a_section_with_its_arguments():
    page = api_page()
    for name in (*FUNCTIONS, *CLASSES):
        assert f"\n## {name}\n" in page
    select = page.partition("\n## select\n")[2].partition("\n## ")[0]
    for argument in ("signals", "ratio", "count", "parameters", "validation", "anchor"):
        assert f"- `{argument}`: " in select
    assert "### Selection.explain(id)" in page
