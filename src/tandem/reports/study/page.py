def study_page(*a): return "stub"
