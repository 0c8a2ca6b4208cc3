/*
 * The accelerator with a door for tests: hits from threads that Python knows nothing of.
 */

#include "_speed.c"

#include <pthread.h>

typedef struct {
    Cell *cell;
    long long hits;
    int untold;
} Work;

static void *
hit(void *argument)
{
    Work *work = argument;
    for (long long i = 0; i < work->hits; i++) {
        if (!(work->untold && increment_unless_power_of_two(work->cell))) {
            add(work->cell);
        }
    }
    return NULL;
}

/* hammer(cell, threads, hits, untold): add to the cell from that many threads, without the GIL. */
static PyObject *
hammer(PyObject *module, PyObject *args)
{
    Work work;
    int threads;
    pthread_t started[64];
    if (!PyArg_ParseTuple(args, "O!iLp:hammer", &Cell_Type, &work.cell, &threads, &work.hits,
                          &work.untold)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    for (int i = 0; i < threads; i++) {
        if (pthread_create(&started[i], NULL, hit, &work) != 0) {
            abort();
        }
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(started[i], NULL);
    }
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyMethodDef hammering[] = {{"hammer", hammer, METH_VARARGS, NULL}, {NULL}};

PyMODINIT_FUNC
PyInit_pthreads(void)
{
    PyObject *module = PyInit__speed();
    if (module != NULL && PyModule_AddFunctions(module, hammering) < 0) {
        Py_CLEAR(module);
    }
    return module;
}
