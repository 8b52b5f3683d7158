"""The shell around every page: title, navigation, and one clear message where the database fails. Run by app.py."""

from __future__ import annotations

import logging

import streamlit as st
from sqlalchemy.exc import SQLAlchemyError

from dashboard import address, notices, pages, permissions, store, tray, words


def main() -> None:
    """One run of one page."""
    st.set_page_config(page_title="LLM Trade-off Lab", page_icon="⚖️", layout="wide")
    page = st.navigation(pages.all_pages(), position="top")
    store.database()
    permissions.banner()
    notices.show()
    try:
        address.begin(page.url_path, st.query_params.get("id", ""))
        tray.show(page.url_path)
        page.run()
    except SQLAlchemyError as error:
        logging.getLogger(__name__).exception("page %s", page.title)
        st.error(store.reason(error), title="The database did not answer", icon=":material/database_off:")
    except ValueError as error:  # what another version or another program wrote into it
        logging.getLogger(__name__).exception("page %s", page.title)
        st.error(words.escape(str(error)), title="This cannot be shown", icon=":material/error:")
    st.session_state["page_before"] = page.url_path


if __name__ == "__main__":
    main()
