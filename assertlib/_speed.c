/*
 * The accelerator: the happy path of the assertions, without an interpreter in between.
 *
 * It counts what may be counted without a second look, from the tables of
 * assertlib/recording/fast_path.py, and hands every other call, arguments untouched,
 * to the Python function that it stands in for (`slow_path`).  So it decides
 * nothing: first hits, violations, callables, refused arguments and errors are
 * all made in Python, and a build without it gives the same answers.
 *
 * Counters are added to atomically: a hit is counted once whichever threads run,
 * with or without a GIL.  No call here runs foreign code between finding a cell
 * and adding to it; dict lookups are done with exact `str` keys only.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#if PY_VERSION_HEX < 0x030D0000
static int
PyDict_GetItemRef(PyObject *dict, PyObject *key, PyObject **result)
{
    *result = Py_XNewRef(PyDict_GetItemWithError(dict, key));
    return *result != NULL ? 1 : PyErr_Occurred() ? -1 : 0;
}
#define Py_BEGIN_CRITICAL_SECTION(object) {
#define Py_END_CRITICAL_SECTION() }
#endif

/* -- cells ------------------------------------------------------------------ */

/* One counter: eight bytes of a buffer, which is kept alive. */
typedef struct {
    PyObject_HEAD
    uint64_t *at;
    Py_buffer memory;
} Cell;

static inline uint64_t
add(Cell *cell)
{
    return __atomic_add_fetch(cell->at, 1, __ATOMIC_RELAXED);
}

/* Add one, unless that makes a power of two: those are worth a record. */
static inline int
increment_unless_power_of_two(Cell *cell)
{
    uint64_t seen = __atomic_load_n(cell->at, __ATOMIC_RELAXED);
    do {
        if (((seen + 1) & seen) == 0) {
            return 0;
        }
    } while (!__atomic_compare_exchange_n(
        cell->at, &seen, seen + 1, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return 1;
}

static inline int
count_in(Cell *cell, int outcome)
{
    if (outcome) {
        add(cell);
        return 1;
    }
    return increment_unless_power_of_two(cell);
}

static PyObject *
cell_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *cells;
    Py_ssize_t index;
    if (!PyArg_ParseTuple(args, "On:Cell", &cells, &index)) {
        return NULL;
    }
    Cell *self = (Cell *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    if (PyObject_GetBuffer(cells, &self->memory, PyBUF_CONTIG | PyBUF_FORMAT) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    if (self->memory.ndim != 1 || self->memory.format == NULL
        || strcmp(self->memory.format, "Q") != 0
        || (uintptr_t)self->memory.buf % sizeof(uint64_t) != 0 || index < 0
        || index >= self->memory.len / (Py_ssize_t)sizeof(uint64_t)) {
        PyErr_SetString(PyExc_ValueError, "a cell must be inside aligned memory of format 'Q'");
        Py_DECREF(self);
        return NULL;
    }
    self->at = (uint64_t *)self->memory.buf + index;
    return (PyObject *)self;
}

static void
cell_dealloc(Cell *self)
{
    PyBuffer_Release(&self->memory);
    Py_TYPE(self)->tp_free(self);
}

static PyTypeObject Cell_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "assertlib._speed.Cell",
    .tp_doc = "Cell(cells, index)\n--\n\nOne counter of a memoryview of format 'Q'.",
    .tp_basicsize = sizeof(Cell),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = cell_new,
    .tp_dealloc = (destructor)cell_dealloc,
};

/* -- counter files that are truncated ---------------------------------------- */

/*
 * A store must not die because somebody truncates its counter file: a hit in a page that the file
 * no longer has is a SIGBUS.  The handler puts a page of zeros there, and counting goes on in
 * memory; that the file was cut is for its owner and its readers to find.  This costs a hit
 * nothing.  What is not ours goes to the handler that was there before.
 */
enum { MOST_GUARDED = 1024 };
static Py_buffer guarded[MOST_GUARDED]; /* never released: the addresses stay ours */
static int guarded_count;
static struct sigaction before_guard;
static long page_size;

static int
is_guarded(const char *at)
{
    int count = __atomic_load_n(&guarded_count, __ATOMIC_ACQUIRE);
    for (int i = 0; i < count; i++) {
        const char *start = guarded[i].buf;
        if (at >= start && at < start + guarded[i].len) {
            return 1;
        }
    }
    return 0;
}

/* Only what is safe in a signal handler: arithmetic, mmap and sigaction. */
static void
on_bus_error(int number, siginfo_t *info, void *context)
{
    int is_access = info->si_code > 0; /* Else somebody sent the signal. */
    if (is_access && is_guarded(info->si_addr)) {
        void *page = (void *)((uintptr_t)info->si_addr & ~((uintptr_t)page_size - 1));
        if (mmap(page, (size_t)page_size, PROT_READ | PROT_WRITE,
                 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) {
            return;
        }
    }
    if (before_guard.sa_flags & SA_SIGINFO) {
        before_guard.sa_sigaction(number, info, context);
    }
    else if (before_guard.sa_handler != SIG_DFL && before_guard.sa_handler != SIG_IGN) {
        before_guard.sa_handler(number);
    }
    else {
        sigaction(SIGBUS, &before_guard, NULL);
        if (!is_access) {
            raise(SIGBUS); /* An access is repeated by itself. */
        }
    }
}

/* guard(cells): let mapped memory survive a truncation of its file; it stays mapped for good. */
static PyObject *
guard(PyObject *module, PyObject *cells)
{
    if (guarded_count == MOST_GUARDED) {
        Py_RETURN_NONE;
    }
    if (PyObject_GetBuffer(cells, &guarded[guarded_count], PyBUF_CONTIG) < 0) {
        return NULL;
    }
    if (guarded_count == 0) {
        struct sigaction ours = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO | SA_ONSTACK};
        sigemptyset(&ours.sa_mask);
        page_size = sysconf(_SC_PAGESIZE);
        sigaction(SIGBUS, &ours, &before_guard);
    }
    __atomic_store_n(&guarded_count, guarded_count + 1, __ATOMIC_RELEASE);
    Py_RETURN_NONE;
}

/* -- assertions ------------------------------------------------------------- */

enum { FALSE_HITS, TRUE_HITS, OUTCOMES };

/*
 * What stands behind an accelerated function, as its `__self__`.  A direct call
 * finds its cell in `tables` by message; a bound assertion is given its `cells`.
 * It lives as long as its module or bound assertion, without a garbage collector.
 */
typedef struct {
    PyObject_HEAD
    PyObject *slow_path;
    PyObject *tables[OUTCOMES];
    PyObject *marks;
    Cell *cells[OUTCOMES];
    int relation, maximize;
    PyObject *arguments; /* of `accelerate`; the objects above are borrowed from them */
    PyMethodDef definition;
} Assertion;

/* The keywords of an assertion, the more special ones last. */
enum { DETAILS, INVARIANT, EVERY, KEYWORDS };
static PyObject *words[KEYWORDS];

static inline int
outcome_of(PyObject *condition)
{
    return condition == Py_True ? TRUE_HITS : condition == Py_False ? FALSE_HITS : -1;
}

/*
 * Whether a call has its `needed` arguments by position, and beside them at most
 * those of its keywords that do not matter on the happy path: `details`, which
 * may come by position too, and for some calls `invariant` and `every`.
 */
static inline int
is_plain(Py_ssize_t nargs, Py_ssize_t needed, PyObject *kwnames, int keywords)
{
    if (nargs != needed && nargs != needed + 1) {
        return 0;
    }
    Py_ssize_t given = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t i = 0; i < given; i++) {
        int keyword = nargs == needed ? DETAILS : INVARIANT;
        while (keyword < keywords && PyTuple_GET_ITEM(kwnames, i) != words[keyword]) {
            keyword++;
        }
        if (keyword == keywords) {
            return 0;
        }
    }
    return 1;
}

/* What the table holds for `message`, as a new reference; NULL, and no error, if nothing. */
static inline PyObject *
find(PyObject *table, PyObject *message)
{
    PyObject *found = NULL;
    if (PyUnicode_CheckExact(message) && PyDict_GetItemRef(table, message, &found) < 0) {
        PyErr_Clear();
    }
    return found;
}

/* Count one hit of `message`, if it may be counted without a second look. */
static inline int
count(Assertion *self, int outcome, PyObject *message)
{
    PyObject *cell = find(self->tables[outcome], message);
    if (cell == NULL) {
        return 0;
    }
    int counted = Py_IS_TYPE(cell, &Cell_Type) && count_in((Cell *)cell, outcome);
    Py_DECREF(cell);
    return counted;
}

/* Whether `value` is no new extreme of `message`, so that nobody need be told. */
static inline int
is_within_mark(Assertion *self, PyObject *message, double value)
{
    PyObject *mark = find(self->marks, message);
    if (mark == NULL) {
        return 0;
    }
    double best = PyFloat_CheckExact(mark) ? PyFloat_AS_DOUBLE(mark) : NAN;
    Py_DECREF(mark);
    return self->maximize ? value <= best : value >= best;
}

static PyObject *
hand_over(Assertion *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return PyObject_Vectorcall(self->slow_path, args, (size_t)nargs, kwnames);
}

/* always(condition, message), always_or_unreachable, sometimes; `every` is for callables */
static PyObject *
call_condition(PyObject *behind, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    Assertion *self = (Assertion *)behind;
    if (is_plain(nargs, 2, kwnames, EVERY + 1)) {
        int outcome = outcome_of(args[0]);
        if (outcome >= 0 && count(self, outcome, args[1])) {
            return Py_NewRef(args[0]);
        }
    }
    return hand_over(self, args, nargs, kwnames);
}

/* reachable(message) */
static PyObject *
call_point(PyObject *behind, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    Assertion *self = (Assertion *)behind;
    if (is_plain(nargs, 1, kwnames, INVARIANT + 1) && count(self, TRUE_HITS, args[0])) {
        Py_RETURN_TRUE;
    }
    return hand_over(self, args, nargs, kwnames);
}

/* bound(condition) */
static PyObject *
call_bound_condition(PyObject *behind, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    Assertion *self = (Assertion *)behind;
    if (is_plain(nargs, 1, kwnames, DETAILS + 1)) {
        int outcome = outcome_of(args[0]);
        Cell *cell = outcome < 0 ? NULL : __atomic_load_n(&self->cells[outcome], __ATOMIC_ACQUIRE);
        if (cell != NULL && count_in(cell, outcome)) {
            return Py_NewRef(args[0]);
        }
    }
    return hand_over(self, args, nargs, kwnames);
}

/* bound() */
static PyObject *
call_bound_point(PyObject *behind, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    Assertion *self = (Assertion *)behind;
    Cell *cell = __atomic_load_n(&self->cells[TRUE_HITS], __ATOMIC_ACQUIRE);
    if (cell != NULL && is_plain(nargs, 0, kwnames, DETAILS + 1)) {
        add(cell);
        Py_RETURN_TRUE;
    }
    return hand_over(self, args, nargs, kwnames);
}

#define HOLDS(a, relation, b)                                                            \
    ((relation) == Py_GT ? (a) > (b) : (relation) == Py_GE ? (a) >= (b)                  \
     : (relation) == Py_LT ? (a) < (b) : (a) <= (b))

/*
 * Compare two machine-sized ints or two floats; -1 for whatever else it takes
 * Python to compare.  `gap` is their difference, rounded as Python rounds it.
 */
static inline int
compare(PyObject *left, int relation, PyObject *right, double *gap)
{
    if (PyLong_CheckExact(left) && PyLong_CheckExact(right)) {
        int overflow[2];
        long long difference;
        long long a = PyLong_AsLongLongAndOverflow(left, &overflow[0]);
        long long b = PyLong_AsLongLongAndOverflow(right, &overflow[1]);
        if (overflow[0] || overflow[1] || __builtin_sub_overflow(a, b, &difference)) {
            return -1;
        }
        *gap = (double)difference;
        return HOLDS(a, relation, b);
    }
    if (PyFloat_CheckExact(left) && PyFloat_CheckExact(right)) {
        double a = PyFloat_AS_DOUBLE(left);
        double b = PyFloat_AS_DOUBLE(right);
        *gap = a - b;
        return isfinite(*gap) ? HOLDS(a, relation, b) : -1;
    }
    return -1;
}

/* always_greater_than(left, right, message) and its kin */
static PyObject *
call_comparison(PyObject *behind, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    Assertion *self = (Assertion *)behind;
    double gap;
    if (is_plain(nargs, 3, kwnames, INVARIANT + 1)) {
        int outcome = compare(args[0], self->relation, args[1], &gap);
        if (outcome >= 0 && is_within_mark(self, args[2], gap) && count(self, outcome, args[2])) {
            return PyBool_FromLong(outcome);
        }
    }
    return hand_over(self, args, nargs, kwnames);
}

/* How many of `size` values of the dict are True; -1 if it holds more than bools. */
static inline Py_ssize_t
propositions_holding(PyObject *named, Py_ssize_t *size)
{
    Py_ssize_t position = 0, holding = 0;
    PyObject *value;
    Py_BEGIN_CRITICAL_SECTION(named);
    *size = PyDict_GET_SIZE(named);
    while (holding >= 0 && PyDict_Next(named, &position, NULL, &value)) {
        int outcome = outcome_of(value);
        holding = outcome < 0 ? -1 : holding + outcome;
    }
    Py_END_CRITICAL_SECTION();
    return holding;
}

/* sometimes_all(named_bools, message), where `relation` is Py_EQ, and always_some */
static PyObject *
call_propositions(PyObject *behind, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    Assertion *self = (Assertion *)behind;
    if (is_plain(nargs, 2, kwnames, INVARIANT + 1) && PyDict_CheckExact(args[0])) {
        Py_ssize_t size;
        Py_ssize_t holding = propositions_holding(args[0], &size);
        int outcome = self->relation == Py_EQ ? holding == size : holding > 0;
        if (holding >= 0 && is_within_mark(self, args[1], (double)holding)
            && count(self, outcome, args[1])) {
            return PyBool_FromLong(outcome);
        }
    }
    return hand_over(self, args, nargs, kwnames);
}

typedef PyObject *(*Call)(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);

static const Call shapes[] = { /* in the order of fast_path._SHAPES */
    call_condition, call_point, call_bound_condition, call_bound_point, call_comparison,
    call_propositions,
};

static void
assertion_dealloc(Assertion *self)
{
    Py_XDECREF(self->cells[FALSE_HITS]);
    Py_XDECREF(self->cells[TRUE_HITS]);
    Py_DECREF(self->arguments);
    PyObject_Free(self);
}

/* A builtin function is pickled as an attribute of its self: of what that comes back as. */
static PyObject *
assertion_reduce(Assertion *self, PyObject *unused)
{
    return Py_NewRef(PyTuple_GET_ITEM(self->arguments, 4));
}

static PyTypeObject Assertion_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "assertlib._speed.Assertion",
    .tp_doc = "What stands behind an accelerated function.",
    .tp_basicsize = sizeof(Assertion),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_methods = (PyMethodDef[]){{"__reduce__", (PyCFunction)assertion_reduce, METH_NOARGS, NULL},
                                  {NULL}},
    .tp_members = (PyMemberDef[]){{"slow_path", T_OBJECT, offsetof(Assertion, slow_path), READONLY},
                                  {NULL}},
    .tp_dealloc = (destructor)assertion_dealloc,
};

/* -- the module ------------------------------------------------------------- */

static PyObject *
accelerate(PyObject *module, PyObject *args)
{
    PyObject *slow_path, *name, *home, *doc, *reduced, *tables[OUTCOMES], *marks;
    int shape, relation, maximize;
    if (!PyArg_ParseTuple(args, "OUUUO!O!O!O!iip:accelerate", &slow_path, &name, &home, &doc,
                          &PyTuple_Type, &reduced, &PyDict_Type, &tables[FALSE_HITS], &PyDict_Type,
                          &tables[TRUE_HITS], &PyDict_Type, &marks, &shape, &relation, &maximize)) {
        return NULL;
    }
    if (shape < 0 || shape >= (int)Py_ARRAY_LENGTH(shapes)) {
        return PyErr_Format(PyExc_ValueError, "there is no shape %d of assertions", shape);
    }
    const char *name_text = PyUnicode_AsUTF8(name);
    const char *doc_text = name_text != NULL ? PyUnicode_AsUTF8(doc) : NULL;
    Assertion *self = doc_text != NULL ? PyObject_New(Assertion, &Assertion_Type) : NULL;
    if (self == NULL) {
        return NULL;
    }
    self->arguments = Py_NewRef(args);
    self->slow_path = slow_path;
    self->marks = marks;
    for (int outcome = 0; outcome < OUTCOMES; outcome++) {
        self->tables[outcome] = tables[outcome];
        self->cells[outcome] = NULL;
    }
    self->relation = relation;
    self->maximize = maximize;
    self->definition = (PyMethodDef){name_text, (PyCFunction)(void (*)(void))shapes[shape],
                                     METH_FASTCALL | METH_KEYWORDS, doc_text};
    PyObject *function = PyCFunction_NewEx(&self->definition, (PyObject *)self, home);
    Py_DECREF(self);
    return function;
}

/* bind(function, condition, cell): give a bound assertion its cell, or take it with None. */
static PyObject *
bind(PyObject *module, PyObject *args)
{
    PyObject *function, *cell;
    int outcome;
    if (!PyArg_ParseTuple(args, "O!pO:bind", &PyCFunction_Type, &function, &outcome, &cell)) {
        return NULL;
    }
    PyObject *behind = PyCFunction_GET_SELF(function);
    if (behind == NULL || !Py_IS_TYPE(behind, &Assertion_Type)
        || !(cell == Py_None || Py_IS_TYPE(cell, &Cell_Type))) {
        PyErr_SetString(PyExc_TypeError, "bind() takes an accelerated function and a Cell or None");
        return NULL;
    }
    Cell *given = cell == Py_None ? NULL : (Cell *)Py_NewRef(cell);
    Cell *before = __atomic_exchange_n(
        &((Assertion *)behind)->cells[outcome], given, __ATOMIC_ACQ_REL);
#ifndef Py_GIL_DISABLED
    Py_XDECREF(before); /* Without a GIL a hit may be on its way there: keep it for good. */
#endif
    (void)before;
    Py_RETURN_NONE;
}

static PyObject *
add_hit(PyObject *module, PyObject *argument)
{
    Cell *cell;
    if (!PyArg_Parse(argument, "O!:add", &Cell_Type, &cell)) {
        return NULL;
    }
    add(cell);
    Py_RETURN_NONE;
}

/* The cell of a slot at a column. */
static Cell *
cell_of(PyObject *slot, Py_ssize_t column)
{
    PyObject *cells = PyObject_GetAttrString(slot, "cells");
    PyObject *first = PyObject_GetAttrString(slot, "index");
    Py_ssize_t index = first == NULL ? -1 : PyLong_AsSsize_t(first);
    PyObject *cell = NULL;
    if (cells != NULL && !PyErr_Occurred()) {
        cell = PyObject_CallFunction((PyObject *)&Cell_Type, "On", cells, index + column);
    }
    Py_XDECREF(cells);
    Py_XDECREF(first);
    return (Cell *)cell;
}

/*
 * add_noted(slot, column, evaluation): count it in the slot's cells, and set `evaluation.count`
 * to the sum.  One C call, so that no signal handler runs in between; without memory, neither is
 * done.
 */
static PyObject *
add_noted(PyObject *module, PyObject *args)
{
    PyObject *slot, *evaluation, *sum = NULL;
    Py_ssize_t column;
    if (!PyArg_ParseTuple(args, "OnO:add_noted", &slot, &column, &evaluation)) {
        return NULL;
    }
    Cell *cell = cell_of(slot, column);
    if (cell == NULL) {
        return NULL;
    }
    int failed = (sum = PyLong_FromUnsignedLongLong(add(cell))) == NULL
                 || PyObject_SetAttrString(evaluation, "count", sum) < 0;
    if (failed) {
        __atomic_sub_fetch(cell->at, 1, __ATOMIC_RELAXED);
    }
    Py_XDECREF(sum);
    Py_DECREF(cell);
    return failed ? NULL : Py_NewRef(Py_None);
}

static PyObject *
increment_unless_power_of_two_hit(PyObject *module, PyObject *argument)
{
    Cell *cell;
    if (!PyArg_Parse(argument, "O!:increment_unless_power_of_two", &Cell_Type, &cell)) {
        return NULL;
    }
    return PyBool_FromLong(increment_unless_power_of_two(cell));
}

static PyMethodDef methods[] = {
    {"accelerate", accelerate, METH_VARARGS,
     "A function that counts plain hits and leaves all others to its first argument."},
    {"bind", bind, METH_VARARGS, "bind(function, condition, cell)\n--\n\n"
     "Give a bound assertion the cell of its hits, or take it away with None."},
    {"add", add_hit, METH_O, "add(cell)\n--\n\nAdd one."},
    {"add_noted", add_noted, METH_VARARGS, "add_noted(slot, column, evaluation)\n--\n\n"
     "Add one, and set the count of the evaluation to the sum."},
    {"guard", guard, METH_O, "guard(cells)\n--\n\n"
     "Keep a hit in mapped memory from killing the process when the file is truncated."},
    {"increment_unless_power_of_two", increment_unless_power_of_two_hit, METH_O, "increment_unless_power_of_two(cell)\n--\n\n"
     "Add one unless the sum is worth a record; returns whether it was added."},
    {NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "assertlib._speed",
    .m_doc = "The accelerator of assertlib; see assertlib/recording/fast_path.py.",
    .m_size = -1,
    .m_methods = methods,
};

/* What recording/accelerator.py expects.  Increment both when a name or a signature of the module,
 * or what the Python side relies on, changes: a file built before is then refused. */
#define ABI 1

PyMODINIT_FUNC
PyInit__speed(void)
{
    words[DETAILS] = PyUnicode_InternFromString("details");
    words[INVARIANT] = PyUnicode_InternFromString("invariant");
    words[EVERY] = PyUnicode_InternFromString("every");
    PyObject *module = PyModule_Create(&definition);
    if (words[DETAILS] == NULL || words[INVARIANT] == NULL || words[EVERY] == NULL
        || module == NULL || PyModule_AddType(module, &Cell_Type) < 0
        || PyModule_AddType(module, &Assertion_Type) < 0
        || PyModule_AddIntConstant(module, "ABI", ABI) < 0) {
        Py_XDECREF(module);
        return NULL;
    }
#ifdef Py_GIL_DISABLED
    PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED);
#endif
    return module;
}
