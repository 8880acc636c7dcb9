/* Where Python enters a build of the kernels that not every processor runs.

   setup.py compiles this for any processor, unlike the rest of the module, whose own entry it calls
   enter_MODULE: of that nothing runs before the processor is known to. It also defines MODULE, the
   name of the module, RUNS, a function of _processor.h, and NEEDS, what that looks for. */

#include <Python.h>

#include "_processor.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define TEXT_(name) #name
#define TEXT(name) TEXT_(name)

PyMODINIT_FUNC JOIN(enter_, MODULE)(void);

PyMODINIT_FUNC JOIN(PyInit_, MODULE)(void) {
    PyObject *name, *message;
    if (RUNS()) {
        return JOIN(enter_, MODULE)();
    }
    name = PyUnicode_FromString("lrplstm." TEXT(MODULE));
    message = name == NULL ? NULL : PyUnicode_FromFormat(
        "%U was built for %s, which this processor lacks; lrplstm chooses a build that runs by itself",
        name, NEEDS);
    if (message != NULL) {
        PyErr_SetImportError(message, name, NULL);
    }
    Py_XDECREF(message);
    Py_XDECREF(name);
    return NULL;
}
