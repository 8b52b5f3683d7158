"""One file per page, run by st.navigation. A page arranges; what it shows is computed elsewhere."""
