"""The shell around every page: title, navigation, who looks at it, and one clear message where the database fails. Run by app.py."""

from __future__ import annotations

import streamlit as st

from dashboard import address, failures, notices, pages, permissions, signing_in, store, tray


def main() -> None:
    """One run of one page."""
    st.set_page_config(page_title="LLM Trade-off Lab", page_icon="⚖️", layout="wide")
    page = st.navigation(pages.all_pages(), position="top")
    signing_in.door()
    store.database()
    signing_in.line()
    permissions.banner()
    notices.show()
    with failures.said(page.title):
        address.begin(page.url_path, st.query_params.get("id", ""))
        tray.show(page.url_path)
        page.run()
    st.session_state["page_before"] = page.url_path


if __name__ == "__main__":
    main()
