/*
 * The accelerator: the happy path of the assertions, without an interpreter in between.
 *
 * It counts what may be counted without a second look, from the tables of
 * assertlib/recording/fast_path.py: bools, comparisons of plain numbers, and what a
 * lambda returns if that is a bool.  Every other call goes to the Python function
 * that it stands in for (`slow_path`), with its arguments untouched, or with what its
 * condition returned or raised in place of a condition that has run.  First hits,
 * violations, refused arguments and errors are all made in Python, and a build without
 * the accelerator gives the same answers.
 *
 * Counters are added to atomically: a hit is counted once whichever threads run,
 * with or without a GIL.  No call here runs foreign code between finding a cell
 * and adding to it: a condition that is a lambda runs before its cell is looked up,
 * and dict lookups are done with exact `str` keys only.
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

/* The counter of hits that count nowhere, as all do while recording is off.  It starts beyond every
 * power of two, which `increment_unless_power_of_two` would not reach. */
static uint64_t scratch = (uint64_t)1 << 63;

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
    PyObject *marks, *samples;
    Cell *cells[OUTCOMES];
    int relation;
    int direction; /* of guidance: larger values are more extreme, smaller ones, or 0 for none */
    int keywords;  /* those that do not matter on the happy path, as bits */
    PyObject *arguments; /* of `accelerate`; the objects above are borrowed from them */
    PyMethodDef definition;
} Assertion;

enum { DETAILS, INVARIANT, EVERY, KEYWORDS };
static PyObject *words[KEYWORDS], *lambda_name, *locals_mark;

/* What a condition returned or raised, for the slow path to judge.  It is made without a line of
 * Python: a signal handler could raise in one. */
typedef struct {
    PyObject_HEAD
    PyObject *value, *error;
} Evaluated;

static void
evaluated_dealloc(Evaluated *self)
{
    Py_XDECREF(self->value);
    Py_XDECREF(self->error);
    PyObject_Free(self);
}

/* result(): what the condition returned; raises what it raised, once, and holds on to neither. */
static PyObject *
evaluated_result(Evaluated *self, PyObject *unused)
{
    (void)unused;
    PyObject *value = self->value, *error = self->error;
    self->value = self->error = NULL;
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
        return NULL;
    }
    return value != NULL ? value : Py_NewRef(Py_None);
}

static PyTypeObject Evaluated_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "assertlib._speed.Evaluated",
    .tp_doc = "What a condition returned or raised that ran before the slow path took over.",
    .tp_basicsize = sizeof(Evaluated),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_methods = (PyMethodDef[]){{"result", (PyCFunction)evaluated_result, METH_NOARGS,
                                   "result()\n--\n\nReturn what the condition returned, once."},
                                  {NULL}},
    .tp_dealloc = (destructor)evaluated_dealloc,
};

static inline int
outcome_of(PyObject *condition)
{
    return condition == Py_True ? TRUE_HITS : condition == Py_False ? FALSE_HITS : -1;
}

/*
 * Whether a call has its `needed` arguments by position, and beside them at most
 * its keywords that do not matter on the happy path: `details`, which may come by
 * position too, and for some calls `invariant` and `every`.
 */
static inline int
is_plain(Assertion *self, Py_ssize_t nargs, Py_ssize_t needed, PyObject *kwnames)
{
    if (nargs != needed && nargs != needed + 1) {
        return 0;
    }
    Py_ssize_t given = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    int allowed = nargs == needed ? self->keywords : self->keywords & ~(1 << DETAILS);
    for (Py_ssize_t i = 0; i < given; i++) {
        int keyword = 0;
        while (keyword < KEYWORDS && PyTuple_GET_ITEM(kwnames, i) != words[keyword]) {
            keyword++;
        }
        if (keyword == KEYWORDS || !(allowed & 1 << keyword)) {
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

/* Whether `value` is no new extreme of `message`, so that no guidance is due. */
static inline int
is_within_mark(Assertion *self, PyObject *message, double value)
{
    if (self->direction == 0) {
        return 1;
    }
    PyObject *mark = find(self->marks, message);
    if (mark == NULL) {
        return 0;
    }
    double best = PyFloat_CheckExact(mark) ? PyFloat_AS_DOUBLE(mark) : NAN;
    Py_DECREF(mark);
    return self->direction > 0 ? value <= best : value >= best;
}

static PyObject *
hand_over(Assertion *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return PyObject_Vectorcall(self->slow_path, args, (size_t)nargs, kwnames);
}

/*
 * Each shape below takes the arguments of a call and returns its result, or NULL to hand the call
 * over.  A condition that has run by then must not run again: the slow path gets `evaluated`
 * in its place.  NULL with an exception set ends the call.
 */
typedef PyObject *(*Shape)(Assertion *, PyObject *const *, Py_ssize_t, PyObject *, PyObject **);

/* -- conditions that are lambdas ---------------------------------------------- */

/*
 * Whether `value` is a lambda or a local function without required arguments; the rule is that of
 * primitives._why_not_callable, which also looks at what this passes over.
 */
static inline int
is_condition_function(PyObject *value)
{
    if (!Py_IS_TYPE(value, &PyFunction_Type)) {
        return 0;
    }
    PyFunctionObject *function = (PyFunctionObject *)value;
    PyCodeObject *code = (PyCodeObject *)function->func_code;
    Py_ssize_t defaults = function->func_defaults == NULL
                              ? 0 : PyTuple_GET_SIZE(function->func_defaults);
    if (code->co_flags & (CO_COROUTINE | CO_GENERATOR | CO_ASYNC_GENERATOR)
        || code->co_argcount > defaults) {
        return 0;
    }
    /* Names are interned in some code objects only, so equal ones need not be the same. */
    return function->func_name == lambda_name
           || PyUnicode_Compare(function->func_name, lambda_name) == 0
           || PyUnicode_Contains(function->func_qualname, locals_mark) == 1;
}

/* The exception that is set, which is cleared. */
static PyObject *
taken_error(void)
{
#if PY_VERSION_HEX < 0x030C0000
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(error, traceback);
    }
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return error;
#else
    return PyErr_GetRaisedException();
#endif
}

/* `value` or `error`, which are given up, for the slow path to judge; NULL without memory. */
static PyObject *
evaluated_as(PyObject *value, PyObject *error)
{
    Evaluated *evaluated = PyObject_New(Evaluated, &Evaluated_Type);
    if (evaluated == NULL) {
        PyErr_Clear(); /* The slow path evaluates the condition again, rather than losing it. */
        Py_XDECREF(value);
        Py_XDECREF(error);
        return NULL;
    }
    evaluated->value = value;
    evaluated->error = error;
    return (PyObject *)evaluated;
}

/*
 * Whether sampling passes over this call: 1 or 0; -1 to leave it to the slow path, which makes the
 * counter of calls at the first.
 */
static inline int
is_passed_over(Assertion *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    Py_ssize_t given = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t i = 0; i < given; i++) {
        if (PyTuple_GET_ITEM(kwnames, i) != words[EVERY]) {
            continue;
        }
        int overflow = 0;
        PyObject *every = args[nargs + i];
        long interval = PyLong_CheckExact(every) ? PyLong_AsLongAndOverflow(every, &overflow) : -1;
        if (overflow || interval < 1) {
            return -1;
        }
        PyObject *cell = interval == 1 ? NULL : find(self->samples, args[1]);
        if (cell == NULL || !Py_IS_TYPE(cell, &Cell_Type)) {
            Py_XDECREF(cell);
            return interval == 1 ? 0 : -1;
        }
        uint64_t calls = add((Cell *)cell) - 1;
        Py_DECREF(cell);
        return calls % (uint64_t)interval != 0;
    }
    return 0;
}

/*
 * Call a condition.  Its outcome, 0 or 1, if it is a bool; otherwise -1, with `evaluated` or an
 * exception that is none of the condition's failures, such as KeyboardInterrupt.
 */
static int
outcome_of_call(PyObject *condition, PyObject **evaluated)
{
    PyObject *value = PyObject_CallNoArgs(condition);
    if (value == NULL) {
        if (PyErr_ExceptionMatches(PyExc_Exception)) {
            *evaluated = evaluated_as(NULL, taken_error());
        }
        return -1;
    }
    int outcome = outcome_of(value);
    if (outcome < 0) {
        *evaluated = evaluated_as(value, NULL);
        return -1;
    }
    Py_DECREF(value);
    return outcome;
}

enum { NOT_PUBLISHED, PUBLISHED, COUNTS_NOWHERE };

/* Whether either outcome of `message` has a cell, and whether hits in it count. */
static inline int
published(Assertion *self, PyObject *message)
{
    PyObject *cell = find(self->tables[TRUE_HITS], message);
    if (cell == NULL) {
        cell = find(self->tables[FALSE_HITS], message);
    }
    int found = cell == NULL || !Py_IS_TYPE(cell, &Cell_Type) ? NOT_PUBLISHED
                : ((Cell *)cell)->at == &scratch               ? COUNTS_NOWHERE : PUBLISHED;
    Py_XDECREF(cell);
    return found;
}

static inline PyObject *
bool_of(int outcome)
{
    return Py_NewRef(outcome ? Py_True : Py_False);
}

/* -- the shapes of calls ------------------------------------------------------- */

/* always(condition, message), always_or_unreachable, sometimes; `every` is for callables */
static inline PyObject *
condition_shape(Assertion *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                PyObject **evaluated)
{
    if (!is_plain(self, nargs, 2, kwnames)) {
        return NULL;
    }
    int outcome = outcome_of(args[0]);
    if (outcome >= 0) {
        return count(self, outcome, args[1]) ? bool_of(outcome) : NULL;
    }
    if (!is_condition_function(args[0])) {
        return NULL;
    }
    int found = published(self, args[1]);
    if (found == NOT_PUBLISHED) {
        return NULL;
    }
    if (found == COUNTS_NOWHERE) {
        Py_RETURN_TRUE; /* With recording off, a condition does not run. */
    }
    int passed_over = is_passed_over(self, args, nargs, kwnames);
    if (passed_over != 0) {
        return passed_over < 0 ? NULL : bool_of(1);
    }
    outcome = outcome_of_call(args[0], evaluated);
    if (outcome >= 0 && !count(self, outcome, args[1])) {
        *evaluated = bool_of(outcome);
        return NULL;
    }
    return outcome < 0 ? NULL : bool_of(outcome);
}

/* reachable(message) */
static inline PyObject *
point_shape(Assertion *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
            PyObject **evaluated)
{
    (void)evaluated;
    return is_plain(self, nargs, 1, kwnames) && count(self, TRUE_HITS, args[0]) ? bool_of(1) : NULL;
}

static inline int
count_bound(Assertion *self, int outcome)
{
    Cell *cell = __atomic_load_n(&self->cells[outcome], __ATOMIC_ACQUIRE);
    return cell != NULL && count_in(cell, outcome);
}

/* bound(condition) */
static inline PyObject *
bound_condition_shape(Assertion *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                      PyObject **evaluated)
{
    if (!is_plain(self, nargs, 1, kwnames)) {
        return NULL;
    }
    int outcome = outcome_of(args[0]);
    if (outcome < 0) {
        Cell *cell = __atomic_load_n(&self->cells[TRUE_HITS], __ATOMIC_ACQUIRE);
        if (cell == NULL || !is_condition_function(args[0])) {
            return NULL;
        }
        if (cell->at == &scratch) {
            Py_RETURN_TRUE; /* With recording off, a condition does not run. */
        }
        outcome = outcome_of_call(args[0], evaluated);
        if (outcome >= 0 && !count_bound(self, outcome)) {
            *evaluated = bool_of(outcome);
            return NULL;
        }
        return outcome < 0 ? NULL : bool_of(outcome);
    }
    return count_bound(self, outcome) ? bool_of(outcome) : NULL;
}

/* bound() */
static inline PyObject *
bound_point_shape(Assertion *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                  PyObject **evaluated)
{
    (void)args;
    (void)evaluated;
    return is_plain(self, nargs, 0, kwnames) && count_bound(self, TRUE_HITS) ? bool_of(1) : NULL;
}

#define HOLDS(a, relation, b)                                                            \
    ((relation) == Py_GT ? (a) > (b) : (relation) == Py_GE ? (a) >= (b)                  \
     : (relation) == Py_LT ? (a) < (b) : (relation) == Py_LE ? (a) <= (b)                \
     : (relation) == Py_EQ ? (a) == (b) : (a) != (b))

/*
 * Compare two machine-sized ints or two floats, or texts or bytes for equality; -1 for whatever
 * else it takes Python to compare.  `gap` is the difference of numbers, rounded as Python rounds it.
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
    if (relation == Py_EQ
        && ((PyUnicode_CheckExact(left) && PyUnicode_CheckExact(right))
            || (PyBytes_CheckExact(left) && PyBytes_CheckExact(right)))) {
        *gap = 0.0; /* Equality has no guidance. */
        return PyObject_RichCompareBool(left, right, Py_EQ);
    }
    return -1;
}

/* always_greater_than(left, right, message) and its kin */
static inline PyObject *
comparison_shape(Assertion *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                 PyObject **evaluated)
{
    (void)evaluated;
    double gap;
    if (!is_plain(self, nargs, 3, kwnames)) {
        return NULL;
    }
    int outcome = compare(args[0], self->relation, args[1], &gap);
    return outcome >= 0 && is_within_mark(self, args[2], gap) && count(self, outcome, args[2])
               ? bool_of(outcome) : NULL;
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
static inline PyObject *
propositions_shape(Assertion *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                   PyObject **evaluated)
{
    (void)evaluated;
    if (!is_plain(self, nargs, 2, kwnames) || !PyDict_CheckExact(args[0])) {
        return NULL;
    }
    Py_ssize_t size;
    Py_ssize_t holding = propositions_holding(args[0], &size);
    int outcome = self->relation == Py_EQ ? holding == size : holding > 0;
    return holding >= 0 && is_within_mark(self, args[1], (double)holding)
                   && count(self, outcome, args[1])
               ? bool_of(outcome) : NULL;
}

/* -- functions and methods ----------------------------------------------------- */

enum { MOST_ARGUMENTS = 8 };

/* Hand the call over, with `evaluated` in place of its condition. */
static PyObject *
hand_over_evaluated(Assertion *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                    Py_ssize_t at, PyObject *evaluated)
{
    PyObject *replaced[MOST_ARGUMENTS];
    Py_ssize_t count = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    assert(count <= MOST_ARGUMENTS); /* A plain call has five at most. */
    memcpy(replaced, args, (size_t)count * sizeof(PyObject *));
    replaced[at] = evaluated;
    PyObject *result = hand_over(self, replaced, nargs, kwnames);
    Py_DECREF(evaluated);
    return result;
}

/* Call `shape` with the arguments from `at` on: a method has its Invariant before them. */
static inline PyObject *
run(Assertion *self, Shape shape, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
    Py_ssize_t at)
{
    PyObject *evaluated = NULL;
    PyObject *result = shape(self, args + at, nargs - at, kwnames, &evaluated);
    if (result != NULL) {
        return result;
    }
    if (evaluated != NULL) {
        return hand_over_evaluated(self, args, nargs, kwnames, at, evaluated);
    }
    return PyErr_Occurred() ? NULL : hand_over(self, args, nargs, kwnames);
}

/* A method of `Invariant`: as a method descriptor, it is called without a bound method. */
typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    Assertion *assertion;
    PyTypeObject *owner;
    PyObject *name, *qualified_name, *module, *text, *slow_path;
} Method;

/* Each shape as a builtin function, and those of forms as a method, too. */
#define CALLS(shape)                                                                     \
    static PyObject *call_##shape(                                                       \
        PyObject *behind, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)    \
    {                                                                                    \
        return run((Assertion *)behind, shape##_shape, args, nargs, kwnames, 0);         \
    }

#define METHODS(shape)                                                                   \
    static PyObject *call_method_##shape(                                                \
        PyObject *method, PyObject *const *args, size_t flagged, PyObject *kwnames)      \
    {                                                                                    \
        Method *self = (Method *)method;                                                 \
        Py_ssize_t nargs = PyVectorcall_NARGS(flagged);                                  \
        return nargs < 1 || !PyObject_TypeCheck(args[0], self->owner)                    \
                   ? hand_over(self->assertion, args, nargs, kwnames)                    \
                   : run(self->assertion, shape##_shape, args, nargs, kwnames, 1);       \
    }

CALLS(condition)
CALLS(point)
CALLS(bound_condition)
CALLS(bound_point)
CALLS(comparison)
CALLS(propositions)

METHODS(condition)
METHODS(point)
METHODS(comparison)
METHODS(propositions)

#define WORD(keyword) (1 << (keyword))

static const struct {
    _PyCFunctionFastWithKeywords call;
    vectorcallfunc method;
    int keywords;
} shapes[] = { /* in the order of fast_path._SHAPES */
    {call_condition, call_method_condition, WORD(DETAILS) | WORD(INVARIANT) | WORD(EVERY)},
    {call_point, call_method_point, WORD(DETAILS) | WORD(INVARIANT)},
    {call_bound_condition, NULL, WORD(DETAILS)},
    {call_bound_point, NULL, WORD(DETAILS)},
    {call_comparison, call_method_comparison, WORD(DETAILS) | WORD(INVARIANT)},
    {call_propositions, call_method_propositions, WORD(DETAILS) | WORD(INVARIANT)},
};

static void
method_dealloc(Method *self)
{
    Py_XDECREF(self->assertion);
    Py_XDECREF(self->owner);
    Py_XDECREF(self->slow_path);
    Py_XDECREF(self->name);
    Py_XDECREF(self->qualified_name);
    Py_XDECREF(self->module);
    Py_XDECREF(self->text);
    PyObject_Free(self);
}

static PyObject *
method_get(PyObject *self, PyObject *instance, PyObject *owner)
{
    (void)owner;
    return instance == NULL ? Py_NewRef(self) : PyMethod_New(self, instance);
}

static PyObject *
method_reduce(Method *self, PyObject *unused)
{
    (void)unused;
    return Py_NewRef(self->qualified_name);
}

static PyObject *
method_repr(Method *self)
{
    return PyUnicode_FromFormat("<method %R>", self->qualified_name);
}

/* The text is a signature, a mark, and a docstring, as that of a builtin. */
static const char mark_of_doc[] = "\n--\n\n";

static PyObject *
method_signature(Method *self, void *unused)
{
    (void)unused;
    const char *text = PyUnicode_AsUTF8(self->text);
    const char *begin = text == NULL ? NULL : strchr(text, '(');
    const char *end = begin == NULL ? NULL : strstr(begin, mark_of_doc);
    if (end == NULL) {
        Py_RETURN_NONE;
    }
    return PyUnicode_FromStringAndSize(begin, end - begin);
}

static PyObject *
method_doc(Method *self, void *unused)
{
    (void)unused;
    const char *text = PyUnicode_AsUTF8(self->text);
    const char *end = text == NULL ? NULL : strstr(text, mark_of_doc);
    if (end == NULL) {
        Py_RETURN_NONE;
    }
    return PyUnicode_FromString(end + strlen(mark_of_doc));
}

static PyTypeObject Method_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "assertlib._speed.Method",
    .tp_doc = "An accelerated method.",
    .tp_basicsize = sizeof(Method),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION
                | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR,
    .tp_vectorcall_offset = offsetof(Method, vectorcall),
    .tp_call = PyVectorcall_Call,
    .tp_descr_get = method_get,
    .tp_repr = (reprfunc)method_repr,
    .tp_methods = (PyMethodDef[]){{"__reduce__", (PyCFunction)method_reduce, METH_NOARGS, NULL},
                                  {NULL}},
    .tp_members = (PyMemberDef[]){
        {"__name__", T_OBJECT, offsetof(Method, name), READONLY},
        {"__qualname__", T_OBJECT, offsetof(Method, qualified_name), READONLY},
        {"__module__", T_OBJECT, offsetof(Method, module), READONLY},
        {"slow_path", T_OBJECT, offsetof(Method, slow_path), READONLY},
        {NULL}},
    .tp_getset = (PyGetSetDef[]){
        {"__doc__", (getter)method_doc, NULL, NULL, NULL},
        {"__text_signature__", (getter)method_signature, NULL, NULL, NULL},
        {NULL}},
    .tp_dealloc = (destructor)method_dealloc,
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

/* The method of class `owner` that counts as `self` does. */
static PyObject *
method_of(Assertion *self, PyTypeObject *owner, PyObject *name, PyObject *home, PyObject *text,
          vectorcallfunc call)
{
    Method *method = PyObject_New(Method, &Method_Type);
    if (method == NULL) {
        return NULL;
    }
    method->vectorcall = call;
    method->assertion = (Assertion *)Py_NewRef(self);
    method->owner = (PyTypeObject *)Py_NewRef(owner);
    method->slow_path = Py_NewRef(self->slow_path);
    method->name = Py_NewRef(name);
    method->module = Py_NewRef(home);
    method->text = Py_NewRef(text);
    method->qualified_name = PyObject_GetAttrString(self->slow_path, "__qualname__");
    if (method->qualified_name == NULL) {
        Py_DECREF(method);
        return NULL;
    }
    return (PyObject *)method;
}

static PyObject *
accelerate(PyObject *module, PyObject *args)
{
    PyObject *slow_path, *name, *home, *text, *reduced, *tables[OUTCOMES], *marks, *samples, *owner;
    int shape, relation, direction;
    if (!PyArg_ParseTuple(args, "OUUUO!O!O!O!O!iiiO:accelerate", &slow_path, &name, &home, &text,
                          &PyTuple_Type, &reduced, &PyDict_Type, &tables[FALSE_HITS], &PyDict_Type,
                          &tables[TRUE_HITS], &PyDict_Type, &marks, &PyDict_Type, &samples, &shape,
                          &relation, &direction, &owner)) {
        return NULL;
    }
    if (shape < 0 || shape >= (int)Py_ARRAY_LENGTH(shapes)) {
        return PyErr_Format(PyExc_ValueError, "there is no shape %d of assertions", shape);
    }
    if (owner != Py_None && (!PyType_Check(owner) || shapes[shape].method == NULL)) {
        PyErr_SetString(PyExc_TypeError, "a method needs a class, and a shape that is not bound");
        return NULL;
    }
    const char *name_text = PyUnicode_AsUTF8(name);
    const char *doc_text = name_text != NULL ? PyUnicode_AsUTF8(text) : NULL;
    Assertion *self = doc_text != NULL ? PyObject_New(Assertion, &Assertion_Type) : NULL;
    if (self == NULL) {
        return NULL;
    }
    int is_method = owner != Py_None;
    self->arguments = Py_NewRef(args);
    self->slow_path = slow_path;
    self->marks = marks;
    self->samples = samples;
    for (int outcome = 0; outcome < OUTCOMES; outcome++) {
        self->tables[outcome] = tables[outcome];
        self->cells[outcome] = NULL;
    }
    self->relation = relation;
    self->direction = direction;
    /* A method cites its own invariant. */
    self->keywords = shapes[shape].keywords & (is_method ? ~WORD(INVARIANT) : ~0);
    self->definition = (PyMethodDef){name_text, (PyCFunction)(void (*)(void))shapes[shape].call,
                                     METH_FASTCALL | METH_KEYWORDS, doc_text};
    PyObject *function = is_method
        ? method_of(self, (PyTypeObject *)owner, name, home, text, shapes[shape].method)
        : PyCFunction_NewEx(&self->definition, (PyObject *)self, home);
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

/* take(cell): add one, and return the count before. */
static PyObject *
take(PyObject *module, PyObject *argument)
{
    Cell *cell;
    if (!PyArg_Parse(argument, "O!:take", &Cell_Type, &cell)) {
        return NULL;
    }
    return PyLong_FromUnsignedLongLong(add(cell) - 1);
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
    {"take", take, METH_O, "take(cell)\n--\n\nAdd one, and return the count before."},
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

/* SCRATCH: the cell of hits that count nowhere. */
static int
add_scratch(PyObject *module)
{
    PyObject *memory = PyMemoryView_FromMemory((char *)&scratch, sizeof(scratch), PyBUF_WRITE);
    PyObject *cells = memory == NULL ? NULL : PyObject_CallMethod(memory, "cast", "s", "Q");
    PyObject *cell = cells == NULL
        ? NULL : PyObject_CallFunction((PyObject *)&Cell_Type, "Oi", cells, 0);
    int failed = cell == NULL || PyModule_AddObjectRef(module, "SCRATCH", cell) < 0;
    Py_XDECREF(memory);
    Py_XDECREF(cells);
    Py_XDECREF(cell);
    return failed ? -1 : 0;
}

/* What recording/accelerator.py expects.  Increment both when a name or a signature of the module,
 * or what the Python side relies on, changes: a file built before is then refused. */
#define ABI 1

PyMODINIT_FUNC
PyInit__speed(void)
{
    words[DETAILS] = PyUnicode_InternFromString("details");
    words[INVARIANT] = PyUnicode_InternFromString("invariant");
    words[EVERY] = PyUnicode_InternFromString("every");
    lambda_name = PyUnicode_InternFromString("<lambda>");
    locals_mark = PyUnicode_InternFromString("<locals>");
    PyObject *module = PyModule_Create(&definition);
    if (words[DETAILS] == NULL || words[INVARIANT] == NULL || words[EVERY] == NULL
        || lambda_name == NULL || locals_mark == NULL || module == NULL
        || PyModule_AddType(module, &Cell_Type) < 0
        || PyModule_AddType(module, &Assertion_Type) < 0
        || PyModule_AddType(module, &Method_Type) < 0
        || PyModule_AddType(module, &Evaluated_Type) < 0 || add_scratch(module) < 0
        || PyModule_AddIntConstant(module, "ABI", ABI) < 0) {
        Py_XDECREF(module);
        return NULL;
    }
#ifdef Py_GIL_DISABLED
    PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED);
#endif
    return module;
}
